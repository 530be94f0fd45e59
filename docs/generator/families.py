"""A page for each family of networks."""

from __future__ import annotations

import importlib
from typing import Any

from generator.attention import collections, kinds
from generator.markdown import paragraphs, table
from keras_attn.applications.common.names import NETWORKS, Network
from keras_attn.applications.common.residual_network import GEOMETRIES, Geometry
from keras_attn.cli.inspection.models import of_published
from keras_attn.cost.table import Cost, read_costs
from keras_attn.weights.sources import SETS, card

TITLES = {
    "residual_attention.imagenet": "Residual Attention Network",
    "residual_attention.cifar": "Residual Attention Network for CIFAR",
    "se_resnet": "SE-ResNet, SE-ResNeXt, SENet",
    "aa_resnet": "AA-ResNet",
    "attention_resnet": "ResNet with other attention",
    "timm": "timm's networks with attention",
    "cifar_resnet": "ResNets for CIFAR",
    "wide_resnet": "Wide ResNet",
    "resnet": "ResNet",
    "bn_inception": "SE-BN-Inception",
    "mobile.mobilenet": "SE-MobileNet",
    "mobile.shufflenet": "SE-ShuffleNet",
    "mobile.mnasnet": "MnasNet",
}
BY_GEOMETRY = ("resnet", "se_resnet", "aa_resnet", "attention_resnet")


def pages() -> tuple[dict[str, str], list[Any]]:
    """The pages by their paths, and their part of the navigation."""
    costs = read_costs()
    texts = {
        f"networks/{module}.md": _page(module, title, costs) for module, title in TITLES.items()
    }
    rows = [
        (f"[{title}]({module}.md)", ", ".join(f"`{name}`" for name in constructors(module)))
        for module, title in TITLES.items()
    ]
    texts["networks/index.md"] = INDEX.format(families=table(("family", "constructors"), rows))
    texts["networks/weights.md"] = _weights()
    texts["networks/attention.md"] = kinds.page()
    texts["networks/collections.md"] = collections.page()
    return texts, [
        "networks/index.md",
        *(f"networks/{module}.md" for module in TITLES),
        "networks/attention.md",
        "networks/collections.md",
        "networks/weights.md",
    ]


INDEX = """# Networks

`keras_attn.applications` builds them as keras.applications does. What differs from it is in
[Common arguments](#common-arguments) and below.

{families}
`keras-attn models` prints the same numbers as these pages, and `keras-attn models NAME --count`
builds a network and counts again. With `attention=None` the networks are without attention; the
Residual Attention Networks have `masks=False` for that.

## Common arguments

Every constructor takes these, too.

::: keras_attn.applications.common.network.Common
    options:
      show_root_heading: false
      show_root_toc_entry: false
      show_bases: false
      members: []

## For all networks

::: keras_attn.applications.common.registry.get_model
::: keras_attn.applications.common.preprocessing.preprocess_input
::: keras_attn.applications.common.construction.pyramid_outputs
"""


def constructors(module: str) -> list[str]:
    """The names of a family's constructors."""
    known = {network.constructor for network in NETWORKS.values()}
    found = importlib.import_module(f"keras_attn.applications.{module}")
    return [name for name in vars(found) if name in known]


def _page(module: str, title: str, costs: dict[str, Cost]) -> str:
    names = constructors(module)
    networks = {key: row for key, row in NETWORKS.items() if row.constructor in names}
    text = (importlib.import_module(f"keras_attn.applications.{module}").__doc__ or "").strip()
    parts = [f"# {title}", text, "## Variants", _variants(networks, costs)]
    sets = [each for each in SETS if each.metadata.network in names]
    if sets:
        parts += ["## Pretrained weights", weights_table(sets)]
    if module in BY_GEOMETRY:
        parts += ["## Geometries", _geometries()]
    parts += ["## Constructors"]
    parts += [f"::: keras_attn.applications.{module}.{name}" for name in names]
    return "\n\n".join(parts) + "\n"


def _variants(networks: dict[str, Network], costs: dict[str, Cost]) -> str:
    rows, sources = [], []
    for name, network in networks.items():
        cost = costs[name]
        theirs = of_published(network.published, cost)
        note = network.published.note if network.published else ""
        source = f"{network.source}{f': {note}' if note else ''}"
        if source not in sources:
            sources.append(source)
        side = "x".join(map(str, cost.input_shape[:2]))
        numbers = (f"{cost.parameters:,}", f"{cost.trainable:,}", f"{cost.macs / 1e9:.3f}")
        rows.append((f"`{name}`", side, *numbers, *theirs, sources.index(source) + 1))
    heading = (
        "name", "input", "weights", "trainable", "GMACs",
        "published weights", "ours", "published cost", "ours", "source",
    )  # fmt: skip
    listed = "".join(f"{i}. {source}\n" for i, source in enumerate(sources, start=1))
    about = (
        "One multiply-accumulate (MAC) is two FLOPs. What is published stands as its source prints "
        "it; `=` says that ours rounds to that. The sources:\n"
    )
    return "\n".join([table(heading, rows, right=range(2, 10)), about, listed])


def weights_table(sets: list[Any]) -> str:
    """The table of sets of weights."""
    rows = []
    for each in sets:
        network, tag, _, *rest = card.row(each)  # the tag begins with the source
        rows.append((f"`{network}`", f"`{tag}`", *rest))
    return table([*card.HEADER[:2], *card.HEADER[3:]], rows) + "\n" + paragraphs(card.FOOTER)


def _weights() -> str:
    return (
        "---\nhide: [toc]\n---\n\n# Pretrained weights\n\n"
        "`weights=` of a constructor takes a set's tag, and `imagenet` or "
        "`cifar10` where there is one. [Fine-tuning](../guides/finetuning.md) says how they are "
        "used; `keras-attn models --weights TAG` prints a set's card.\n\n"
        + weights_table(list(SETS))
    )


def _geometries() -> str:
    rows = [
        (f"`{name}`", *(_cell(getattr(how, field)) for field in how._fields))
        for name, how in GEOMETRIES.items()
    ]
    fields = [field.replace("_", " ") for field in Geometry._fields]
    return (
        "The same weights fit networks that pad, pool or stride elsewhere, and are silently worse "
        "there. A set of weights brings its geometry, and refuses another.\n\n"
        + table(["geometry", *fields], rows)
    )


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{filters}/{strides}" for filters, strides in value)
    return {None: "none", True: "yes", False: "no"}.get(value, str(value))
