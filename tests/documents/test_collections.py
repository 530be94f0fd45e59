"""The tables of attention: the collections that were looked through, the kinds, the guide."""

from __future__ import annotations

import csv
import re
import tomllib

from helpers.paths import ROOT
from keras_attn import applications, layers
from keras_attn.applications.timm.variants import VARIANTS
from keras_attn.applications.timm.vovnet import VOVNETS
from keras_attn.kinds import KINDS
from keras_attn.weights import SETS

with open(ROOT / "docs/collections/names.toml", "rb") as file:
    DATA = tomllib.load(file)
SAID = [
    (collection["title"], theirs, text)
    for collection in DATA["collections"]
    for theirs, text in collection["names"].items()
]
FORM = re.compile(r"(?:(kind|layer|network) ([\w/]+)|no @(\w+)|no)(?:: (\S.*))?")


def test_what_is_said_to_be_here_is_here():
    assert len(SAID) > 150
    for title, theirs, text in SAID:
        found = FORM.fullmatch(text)
        assert found, (title, theirs, text)
        what, name, reason, note = found.groups()
        if what == "kind":
            assert name in KINDS, (title, theirs, name)
        elif what == "layer":
            assert hasattr(layers, name), (title, theirs, name)
        elif what == "network":
            constructor, _, variant = name.partition("/")
            assert callable(getattr(applications, constructor)), (title, theirs, name)
            assert variant in {"TimmResNet": VARIANTS, "VoVNet": VOVNETS}.get(constructor, {""})
        elif reason:
            assert reason in DATA["reasons"], (title, theirs, reason)
        else:
            assert note and note.endswith("."), (title, theirs, text)  # why not, in a sentence


def test_timms_names_are_all_there():
    """The names of timm 1.0.31's `get_attn`."""
    names = (
        "se ese eca ecam ceca ge gc gca cbam lcbam coord scoord ela strip sk splat lambda "
        "bottleneck halo nl bat"
    )
    [timm] = [each for each in DATA["collections"] if each["title"] == "timm's create_attn"]
    assert list(timm["names"]) == names.split()


def test_every_variant_of_timm_is_in_the_list():
    """Each of timm's networks that is built, under its stem or its whole name."""
    [networks] = [each for each in DATA["collections"] if "and weights" in each["title"]]
    here = " ".join(k for k, text in networks["names"].items() if text.startswith("network"))
    listed = set(re.findall(r"\w+", here))
    missing = [
        name
        for name in (*VARIANTS, *VOVNETS)
        if not listed & {name, *(name.removeprefix(stem) for stem in STEMS)}
    ]
    assert missing == ["resnext26ts", "resnet32ts", "resnet33ts"]  # they have no attention


STEMS = (
    "ecaresnet", "seresnextaa", "seresnext", "resnetrs", "resnest", "lambda_resnet", "ese_vovnet",
)  # fmt: skip


def test_the_table_of_kinds_has_no_gap():
    """`python -m benchmarks.accuracy.kinds` made it: what it must show, of each kind."""
    with open(ROOT / "benchmarks/results/kinds.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == list(KINDS)
    for row in rows:
        assert float(row["difference"]) <= 1e-5, row
        assert float(row["jax"]) <= 1e-5 and float(row["torch"]) <= 1e-5, row
        assert row["saved_model"] == row["onnx"] == "yes", row
        assert row["step_0"] == "equal" and row["explained"] in ("by place", "by channel"), row
    assert [row["kind"] for row in rows if row["tflite"] != "yes"] == ["outlook", "cot"]
    own = [row["kind"] for row in rows if row["oracle"].startswith("NumPy")]
    assert own == ["ge_theta_plus", "cse", "sse", "scse", "double", "sagan", "self_attention", "aa"]


def test_the_guides_accuracies_are_the_sets():
    """What the guide quotes of timm's networks, where we have the set: its card has the number."""
    text = (ROOT / "docs/guides/choosing.md").read_text(encoding="utf-8")
    top1 = {each.metadata.tag: each.metadata.top1 for each in SETS}
    quoted = {
        "timm/resnet33ts.ra2_in1k": "79.216",
        "timm/eca_resnet33ts.ra2_in1k": "80.084",
        "timm/gcresnet33ts.ra2_in1k": "80.072",
        "timm/seresnet33ts.ra2_in1k": "80.380",
        "timm/ecaresnet26t.ra2_in1k": "78.894",
        "timm/seresnet50.a1_in1k": "80.012",
        "timm/seresnet50.a2_in1k": "80.102",
        "timm/seresnet50.a3_in1k": "77.036",
        "timm/seresnet152d.ra2_in1k": "83.702",
        "timm/botnet26t_256.c1_in1k": "79.256",
        "timm/halonet26t.a1h_in1k": "79.134",
        "timm/lambda_resnet26t.c1_in1k": "79.126",
    }
    for tag, number in quoted.items():
        assert number in text and top1[tag] == float(number), tag
