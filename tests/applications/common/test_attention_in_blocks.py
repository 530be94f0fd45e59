"""Any attention in the blocks of the networks: each kind, at each place, in each family."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest

import keras_attn
from helpers.layer_contract import assert_close
from helpers.marks import rest_thorough
from helpers.network_checks import count_trainable, image, layer_names
from keras_attn import insert_attention
from keras_attn.applications import (
    AAMnasNet,
    AAResNet34,
    AAResNet50,
    CIFARResNet,
    GCResNet50,
    MnasNet,
    ResidualAttention56,
    ResNet18,
    ResNet50,
    SEMobileNet,
    SEResNet18,
    WideResNet28x10,
    aa_resnet,
    wide_resnet,
)
from keras_attn.applications.common import residual_network
from keras_attn.applications.mobile import mnasnet
from keras_attn.kinds import KINDS, PLACEMENTS, Kind, make_attention
from keras_attn.layers import (
    CBAM,
    AddCoordinates,
    AugmentedConv2D,
    BottleneckSelfAttention2D,
    EfficientChannelAttention,
    GatherExcite,
    SelectiveKernel,
    SinusoidalPositionEncoding2D,
    SqueezeExcite,
)

SMALL = partial(CIFARResNet, 20, include_top=False, pooling="avg")
# In CIFARResNet(20) of 3 stages with 3 blocks.
BLOCKS = {
    "standard": [(s, b) for s in (1, 2, 3) for b in (1, 2, 3)],
    "bam": [(1, 3), (2, 3)],
    "non_local": [(2, 2)],
    "sagan": [(2, 2)],
    "double": [(2, 2)],
    "bat": [(2, 2)],
    "outlook": [(s, b) for s in (2, 3) for b in (1, 2, 3)],
    "position_attention": [(3, 3)],
    "channel_attention": [(3, 3)],
    "criss_cross": [(3, 3)],
    "lambda": [(s, b) for s in (2, 3) for b in (1, 2, 3)],
    "sk": [(s, b) for s in (1, 2, 3) for b in (1, 2, 3)],
    "bot": [(3, 1), (3, 2), (3, 3)],
    "halo": [(s, b) for s in (2, 3) for b in (1, 2, 3)],
    "self_attention": [(3, 1), (3, 2), (3, 3)],
    "attention_module": [(1, 1), (2, 1)],
}


@pytest.mark.slow  # each kind in each family, below, is fast
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "aa"])
def test_every_kind_in_a_network(kind):
    model = SMALL(attention=kind, input_shape=(16, 16, 3))
    assert model.name == f"{kind}_resnet20_cifar"
    places = BLOCKS.get(kind, BLOCKS["standard"])
    new = [layer for layer in model.layers if isinstance(layer, KINDS[kind].layer)]
    assert [x.name for x in new] == [f"stage{s}_block{b}_{kind}" for s, b in places]
    y = model(image(2, 16, 16, 3))
    assert y.shape == (2, 64) and np.all(np.isfinite(y))
    stage, block = places[-1]
    before = new[-1].input._keras_history.operation.name
    after = {
        "standard": f"stage{stage}_block{block}_bn2",
        "pre": f"stage{stage}_block{block - 1}_relu2",
        "post": f"stage{stage}_block{block}_relu2",
        "convolution": f"stage{stage}_block{block - 1}_relu2",
    }
    assert before == after[KINDS[kind].placement]
    assert KINDS[kind].source


def test_what_stands_instead_of_the_convolution(no_values):
    """It has the convolution's filters and strides, and its BatchNormalization and ReLU."""
    model = ResNet50(attention="bot")
    names = layer_names(model)
    assert names[names.index("stage4_block1_bot") :][:4] == [
        "stage4_block1_bot",
        "stage4_block1_bot_pool",
        "stage4_block1_bn2",
        "stage4_block1_relu2",
    ]
    assert "stage4_block1_conv2" not in names
    bot = model.get_layer("stage4_block1_bot")
    assert bot.num_heads == 4 and bot.value_depth == 512
    assert bot.relative_width.shape == (2 * 14 - 1, 128)
    assert count_trainable(model) == 20_852_008  # BoTNet-50's 20.8M

    selective = ResNet18(attention="sk").get_layer("stage2_block1_sk")
    assert selective.strides == 2 and selective.filters == 128
    names = layer_names(ResNet18(attention="sk"))
    assert names[names.index("stage2_block1_sk") + 1] == "stage2_block1_conv2"


def test_unknown_sizes_have_the_tables_of_the_default(no_values, few_blocks):
    few_blocks(ResNet18)
    known, unknown = (
        ResNet18(attention="bot"),
        ResNet18(attention="bot", input_shape=(None,) * 2 + (3,)),
    )
    assert [w.shape for w in known.weights] == [w.shape for w in unknown.weights]
    assert unknown(image(1, 64, 96, 3)).shape == (1, 1000)
    known, unknown = SMALL(attention="halo"), SMALL(attention="self_attention")
    assert unknown(image(1, 16, 24, 3)).shape == known(image(1, 16, 24, 3)).shape


def test_a_layer_is_copied():
    layer = SqueezeExcite(4, activation="silu", name="mine")
    model = SMALL(attention=layer)
    assert model.name == "squeeze_excite_resnet20_cifar"
    copies = [x for x in model.layers if isinstance(x, SqueezeExcite)]
    assert [x.name for x in copies][:2] == [f"stage1_block{b}_squeeze_excite" for b in (1, 2)]
    assert len(copies) == 9 and not layer.built and {x.ratio for x in copies} == {4}
    assert np.any(copies[0].reduce_kernel != copies[1].reduce_kernel)
    seeded = SqueezeExcite(4, kernel_initializer=keras.initializers.HeNormal(seed=3))
    one, other = [x for x in SMALL(attention=seeded).layers if isinstance(x, SqueezeExcite)][:2]
    np.testing.assert_array_equal(one.reduce_kernel, other.reduce_kernel)

    bot = BottleneckSelfAttention2D(num_heads=2, key_depth=8, value_depth=64)
    model = SMALL(attention=bot, stages=[3])
    assert model.get_layer("stage3_block1_bottleneck_self_attention2d").num_heads == 2
    dropout = SMALL(attention=keras.layers.SpatialDropout2D(0.2), stages=[1])
    assert dropout.get_layer("stage1_block3_spatial_dropout2d").rate == 0.2


def test_a_function_of_stage_and_block():
    calls = []

    def choose(stage, block):
        calls.append((stage, block))
        return {(1, 1): "eca", (2, 2): GatherExcite(extent=2), (3, 3): SelectiveKernel()}.get(
            (stage, block)
        )

    model = SMALL(attention=choose)
    assert model.name == "attention_resnet20_cifar"
    assert calls == [(s, b) for s in (1, 2, 3) for b in (1, 2, 3)]  # once each
    kinds = (EfficientChannelAttention, GatherExcite, SelectiveKernel)
    assert [x.name for x in model.layers if isinstance(x, kinds)] == [
        "stage1_block1_eca",
        "stage2_block2_gather_excite",
        "stage3_block3_selective_kernel",
    ]
    assert "stage3_block3_conv1" not in layer_names(model)
    assert layer_names(SMALL(attention=lambda s, b: None)) == layer_names(SMALL())


def test_a_network_in_a_file(tmp_path):
    model = SMALL(attention="coordinate", input_shape=(16, 16, 3))
    model.save(tmp_path / "model.keras")
    x = image(1, 16, 16, 3)
    assert_close(keras.saving.load_model(tmp_path / "model.keras")(x).numpy(), model(x).numpy())


@pytest.mark.parametrize(
    "construct",
    [SMALL, partial(ResNet18, include_top=False), WideResNet28x10, partial(MnasNet, 0.25)],
)
@pytest.mark.parametrize(
    "attention, message",
    [
        ("ecaa", "`attention` must be one of None, 'se', .*Did you mean 'eca'.*attention='ecaa'"),
        (3, "`attention` must be one of None, 'se', 'channel_gate', .*Received: attention=3"),
        (CBAM, "`attention` must be one of None, 'se'"),
        (keras_attn.layers.AddCoordinates(), "`attention` must attend"),
        (lambda stage, block: "ecaa", "`attention` must be one of None, 'se', .*'ecaa'"),
    ],
)
def test_no_such_attention(attention, message, construct):
    with pytest.raises(ValueError, match=message):
        construct(attention=attention)


# ------------------------------------------------------------------ every kind in every family


@pytest.fixture
def small_families(monkeypatch, few_blocks):
    """The families with few blocks and filters."""
    few_blocks(ResNet18)
    monkeypatch.setattr(residual_network, "FILTERS", (64, 32, 32, 32))
    monkeypatch.setattr(wide_resnet, "BLOCKS", 1)
    monkeypatch.setattr(wide_resnet, "FILTERS", (16, 32, 64))
    stages = [x._replace(blocks=min(x.blocks, 2)) for x in mnasnet.STAGES]
    monkeypatch.setattr(mnasnet, "STAGES", stages)
    monkeypatch.setattr(mnasnet, "HEAD_FILTERS", 32)
    return {
        "ResNet50": partial(ResNet50, include_top=False, input_shape=(64, 64, 3)),
        "CIFARResNet": partial(CIFARResNet, 8, include_top=False, input_shape=(16, 16, 3)),
        "WideResNet28x10": partial(WideResNet28x10, include_top=False, input_shape=(16, 16, 3)),
        "MnasNet": partial(MnasNet, include_top=False, input_shape=(64, 64, 3)),
    }


FAMILIES = ("ResNet50", "CIFARResNet", "WideResNet28x10", "MnasNet")
PLAIN: dict[str, list[str]] = {}  # family -> the layers' names of a small one without attention
# Of kinds that differ in what they are made with.
FAST = ("se", "bam", "sk", "bot", "aa", "attention_module")


@pytest.mark.parametrize("family", rest_thorough(FAMILIES))
@pytest.mark.parametrize(
    "kind", [k if k in FAST else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_every_kind_in_every_family(kind, family, small_families, no_values):
    model = small_families[family](attention=kind)
    assert model.name.startswith(f"{kind}_")
    new = [layer for layer in model.layers if isinstance(layer, KINDS[kind].layer)]
    extra = "extra_" if family == "MnasNet" else ""
    ends = {"aa": ("_conv1", "_conv2", "_expand_conv")}.get(kind, (f"_{extra}{kind}",))
    assert sum(layer.name.endswith(ends) for layer in new) >= 1
    if family not in PLAIN:
        PLAIN[family] = layer_names(small_families[family]())
    plain = PLAIN[family]
    assert set(plain) - set(layer_names(model)) <= {
        name for name in plain if KINDS[kind].placement == "convolution" and "_block" in name
    }


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("kind", ["se", "bot"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.thorough
def test_every_place_in_every_family(family, kind, placement, small_families, no_values):
    def construct():
        return small_families[family](attention=kind, placement=placement, stages=[3])

    if placement == "3x3" and family in ("CIFARResNet", "WideResNet28x10"):
        with pytest.raises(ValueError, match="`placement` can be '3x3' only where a block has one"):
            construct()
        return
    if kind == "se" and placement == "convolution":
        with pytest.raises(ValueError, match="`placement` can be 'convolution' only for what mak"):
            construct()
        return
    model = construct()
    extra = "extra_" if family == "MnasNet" else ""
    number = 2 if family == "MnasNet" and placement == "identity" else 1
    layer = model.get_layer(f"stage3_block{number}_{extra}{kind}")
    (before,) = [each.operation for each in [layer.input._keras_history]]
    after = [node.operation.name for node in layer._outbound_nodes]
    expected = {
        "standard": ("_bn2", "_bn3", "_conv2", "_project_bn"),
        "3x3": ("_relu2", "_dw_relu", "_se"),
        "post": ("_relu2", "_relu3", "_add", "_project_bn"),
    }.get(placement)
    if expected:
        assert before.name.startswith("stage3_block") and before.name.endswith(expected)
    if placement == "post":
        assert not any(name.startswith(f"stage3_block{number}") for name in after)
    elif placement == "identity":
        assert after[0].endswith(("_add", "_shortcut"))
    elif placement in ("pre", "convolution"):
        assert not before.name.startswith(f"stage3_block{number}_bn3")


def test_the_papers_places_of_cifar():
    model = CIFARResNet(20, attention="se", placement="pre")
    gate = model.get_layer("stage2_block2_se")
    assert gate.input._keras_history.operation.name == "stage2_block1_relu2"
    assert [node.operation.name for node in gate._outbound_nodes] == ["stage2_block2_conv1"]
    x = image(2, 32, 32, 3)
    np.testing.assert_allclose(np.sum(model(x), axis=-1), 1, rtol=1e-5)


def test_ratios_of_cifar():
    layer = CIFARResNet(8, attention="aa", kappa=0.5, upsilon=0.75).get_layer("stage3_block1_conv1")
    assert (layer.num_heads, layer.key_depth, layer.value_depth) == (4, 32, 48)
    layer = CIFARResNet(8, attention=("aa", {"num_heads": 2, "kappa": 1.0})).get_layer(
        "stage2_block1_conv1"
    )
    assert (layer.num_heads, layer.key_depth, layer.value_depth) == (2, 32, 8)
    gate = CIFARResNet(8, attention="se", ratio=4).get_layer("stage1_block1_se")
    assert gate.ratio == 4


SHALLOW = {50: residual_network.Variant("resnet50", (1, 1, 1, 1))}


@pytest.mark.parametrize(
    "positions, encoding",
    [("relative", None), ("none", None), ("sinusoidal", SinusoidalPositionEncoding2D)]
    + [("coordinates", AddCoordinates)],
)
@pytest.mark.parametrize("form", rest_thorough(["resnet", "mnasnet"]))
def test_positions(positions, encoding, form, no_values, monkeypatch):
    monkeypatch.setattr(aa_resnet, "RESNETS", SHALLOW)
    construct = AAResNet50 if form == "resnet" else partial(AAMnasNet, 0.5)
    model = construct(positions=positions, include_top=False, input_shape=(64, 64, 3))
    augmented = [x for x in model.layers if isinstance(x, AugmentedConv2D)]
    assert len(augmented) == (3 if form == "resnet" else 13)
    assert {x.relative for x in augmented} == {positions == "relative"}
    encodings = [x for x in model.layers if x.name.endswith("_positions")]
    if encoding is None:
        assert encodings == []
    else:
        assert [x.name for x in encodings] == [f"{x.name}_positions" for x in augmented]
        assert {type(x) for x in encodings} == {encoding}
    assert model(image(1, 64, 64, 3)).shape[-1] == model.output_shape[-1]


def test_few_heads_have_a_value_each_in_mnasnet_alone():
    assert AAMnasNet(0.25).get_layer("stage3_block1_expand_conv").value_depth == 4
    with pytest.raises(ValueError, match="`upsilon` must leave every head at least one value"):
        CIFARResNet(8, attention="aa", upsilon=0.01)


def test_stages_of_the_others(no_values):
    gates = [x.name for x in SEMobileNet(stages=[5]).layers if isinstance(x, SqueezeExcite)]
    assert gates == ["stage5_block1_se", "stage5_block2_se"]
    with pytest.raises(ValueError, match="`stages` must hold stages from 1 to 5"):
        SEMobileNet(stages=[6])


@pytest.mark.parametrize(
    "construct, kwargs, message",
    [
        (CIFARResNet, {"attention": "eca", "ratio": 8}, "`ratio` is no option of attention='eca'"),
        (CIFARResNet, {"attention": SqueezeExcite(), "ratio": 8}, "`ratio` is for attention by n"),
        (CIFARResNet, {"attention": "se", "kappa": 0.2}, "`kappa` is no option of attention='se'"),
        (CIFARResNet, {"attention": ("se", {"ratios": 2})}, "`ratios` is no option of attention="),
        (CIFARResNet, {"attention": ("se", 2)}, "`attention` must be one of None, 'se', "),
        (CIFARResNet, {"attention": "bam", "placement": "front"}, "`placement` must be one of 'st"),
        (AAResNet34, {"positions": "absolute"}, "`positions` must be one of 'relative', 'none', "),
        (GCResNet50, {"placement": "front"}, "`placement` must be one of 'standard', 'pre', "),
    ],
)
def test_wrong_options(construct, kwargs, message):
    with pytest.raises(ValueError) as error:
        construct(**kwargs)
    assert message in str(error.value)


def test_a_function_gives_names_with_options():
    def choose(stage, block):
        return ("se", {"ratio": 2**stage}) if block == 1 else None

    model = SMALL(attention=choose)
    assert [x.ratio for x in model.layers if isinstance(x, SqueezeExcite)] == [2, 4, 8]


@keras.saving.register_keras_serializable(package="tests")
class Halved(keras.layers.Layer):
    """A kind of attention of a user's own."""

    def __init__(self, share: float = 0.5, *, data_format: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.share, self.data_format = share, data_format

    def call(self, inputs):
        return inputs * self.share

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "share": self.share, "data_format": self.data_format}


def test_a_new_kind_is_a_layer_and_a_line(monkeypatch, small_families):
    """With these every family, option, `make_attention` and `insert_attention` know it."""
    monkeypatch.setitem(KINDS, "halved", Kind(Halved, "standard", "ours"))
    assert make_attention(("halved", {"share": 0.25}), channels=8).share == 0.25
    for family, construct in small_families.items():
        model = construct(attention=("halved", {"share": 0.75}), placement="post")
        new = [x for x in model.layers if isinstance(x, Halved)]
        assert model.name.startswith("halved_"), family
        assert len(new) >= 3 and {x.share for x in new} == {0.75}, family
    inserted = insert_attention(SMALL(), ("halved", {"share": 0.25}), where="stage1_block?_bn2")
    assert sum(x.name.endswith("_halved") for x in inserted.layers) == 3


# ----------------------------------------------------------------------- names of before 1.0


@pytest.mark.parametrize(
    "construct, old, message",
    [
        (
            CIFARResNet,
            {"attention_stages": [3]},
            "`attention_stages` is no argument of CIFARResNet",
        ),
        (
            ResidualAttention56,
            {"mask": "pytorchcv"},
            "`mask` is no argument of ResidualAttention56: it is `geometry` now. Received: mask='p",
        ),
        (
            ResidualAttention56,
            {"attention": None},
            "it is `mask_activation` now, and `masks=False` in place of `attention=None`",
        ),
        (
            SEResNet18,
            {"attention_stages": [3]},
            "it is `stages` now. Received: attention_stages=[3",
        ),
    ],
)
def test_an_old_name_says_the_new_one(construct, old, message):
    with pytest.raises(TypeError) as error:
        construct(**old)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (
            keras_attn.applications.MnasNet,
            {"attention": "bot", "stages": [1, 3]},
            "in stage 1 there is none",
        ),
        (
            keras_attn.applications.MnasNet,
            {"attention": ("se", {"ratio": 4}), "placement": "identity", "stages": [7]},
            "in stage 7 there is none",
        ),
        (keras_attn.applications.AAMnasNet, {"stages": []}, "in any stage there is none"),
        (
            keras_attn.applications.CIFARResNet,
            {"depth": 8, "attention": "se", "stages": ()},
            "in any stage",
        ),
        (keras_attn.applications.SEMobileNet, {"stages": []}, "in any stage there is none"),
    ],
)
def test_attention_that_has_no_room(make, options, message):
    with pytest.raises(ValueError, match=f"`stages` and `placement` must leave room.*{message}"):
        make(**options)
