"""CBAM, BAM, GE, ECA, GC and SK ResNets, and any attention in the residual networks' blocks."""

from __future__ import annotations

import doctest
from functools import partial

import keras
import numpy as np
import pytest

import keras_attn
from helpers.layer_contract import assert_close
from helpers.network_checks import (
    NetworkChecks,
    count_trainable,
    image,
    layer_names,
    read_layer_names,
)
from keras_attn import applications
from keras_attn.applications import (
    MODELS,
    BAMResNet18,
    CBAMResNet18,
    CIFARResNet,
    ECAResNet50,
    GCResNet50,
    GEResNet50,
    ResNet18,
    ResNet50,
    SKResNet50,
)
from keras_attn.insertion import KINDS
from keras_attn.layers import (
    CBAM,
    BottleneckSelfAttention2D,
    EfficientChannelAttention,
    GatherExcite,
    SelectiveKernel,
    SqueezeExcite,
)


class TestCBAMResNet(NetworkChecks):
    # As the authors have it, gammas of 0 keep the gradient from the spatial kernels in step one.
    make = staticmethod(partial(CBAMResNet18, zero_gamma=False))
    channels = 512


@pytest.mark.slow
class TestBAMResNet(NetworkChecks):
    make = staticmethod(BAMResNet18)
    channels = 512
    no_gradient = ("channel_reduce/bias", "spatial_reduce/bias", "conv1/bias", "conv2/bias")


@pytest.mark.slow
class TestGEResNet(NetworkChecks):
    make = staticmethod(partial(GEResNet50, mode="theta_plus", extent=2))
    channels = 2048


@pytest.mark.slow
class TestECAResNet(NetworkChecks):
    make = staticmethod(ECAResNet50)
    channels = 2048


@pytest.mark.slow
class TestGCResNet(NetworkChecks):
    # Where it adds, its last kernel starts at 0.
    make = staticmethod(partial(GCResNet50, fusion="scale"))
    channels = 2048
    no_gradient = ("logit/bias",)


@pytest.mark.slow
class TestSKResNet(NetworkChecks):
    make = staticmethod(SKResNet50)
    channels = 2048


# The authors' codes and prototxts, exact; timm's `skresnext50_32x4d`.
COUNTS = {
    "cbam_resnet18": 11_779_392,
    "cbam_resnet34": 21_960_468,
    "cbam_resnet50": 28_089_624,
    "cbam_resnet101": 49_330_172,
    "bam_resnet18": 11_712_503,
    "bam_resnet34": 21_820_663,
    "bam_resnet50": 25_915_099,
    "bam_resnet101": 44_907_227,
    "ge_resnet50_theta_minus": 25_557_032,
    "ge_resnet50_theta": 31_106_600,
    "ge_resnet50_theta_plus": 33_637_592,
    "eca_resnet50": 25_557_032 + 13 * 5 + 3 * 7,
    "gc_resnet50": 28_105_032,
    "sk_resnet50": 27_479_784,
}
GOLDENS = [
    "cbam_resnet18",
    "cbam_resnet50",
    "bam_resnet50",
    "ge_resnet50_theta_plus",
    "eca_resnet50",
    "gc_resnet50",
    "sk_resnet50",
]


FAST = ("cbam_resnet18", "bam_resnet50", "ge_resnet50_theta_plus", "sk_resnet50")


# What the others count is checked in test_cost.py, too, in the table that is checked in.
@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in COUNTS]
)
def test_parameters_and_names(name):
    model = MODELS[name]()
    assert model.name == name
    assert count_trainable(model) == COUNTS[name]
    if name in GOLDENS:
        assert layer_names(model) == read_layer_names(name)


def test_attention_none_is_the_baseline():
    model, plain = CBAMResNet18(attention=None), ResNet18()
    assert model.name == "resnet18"
    assert layer_names(model) == layer_names(plain)
    assert SKResNet50(attention=None, include_top=False).name == "resnext50"


def test_options_and_stages():
    model = CBAMResNet18(ratio=8, stages=[2, 4], geometry="caffe")
    gates = [layer for layer in model.layers if isinstance(layer, CBAM)]
    assert [x.name for x in gates] == [f"stage{s}_block{b}_cbam" for s in (2, 4) for b in (1, 2)]
    assert {x.channel_gate.ratio for x in gates} == {8}
    assert all(x.spatial_gate.zero_gamma for x in gates)
    product = BAMResNet18(combine="product", stages=[4])
    assert product.get_layer("stage4_block2_bam").combine == "product"
    assert GEResNet50(extent=4).name == "ge_resnet50_theta_minus"


def test_a_fresh_cbam_gives_every_place_half():
    """The authors' start: gammas of 0."""
    model = CBAMResNet18(input_shape=(None, None, 3))
    layer = model.get_layer("stage2_block1_cbam")
    x = image(2, 8, 6, 128)
    y, gate = layer(x, return_attention=True)
    channel = layer.channel_gate(x, return_attention=True)[1]
    assert_close(gate.numpy(), np.broadcast_to(channel, gate.shape) / 2)
    assert_close(y.numpy(), x * gate.numpy())


def test_theta_serves_one_size():
    with pytest.raises(ValueError, match="`extent` must be 2, 4 or 8, or the mode 'theta_minus'"):
        GEResNet50(mode="theta", input_shape=(None, None, 3))
    model = GEResNet50(mode="theta_plus", input_shape=(64, 96, 3), include_top=False)
    kernel = model.get_layer("stage3_block1_ge").gather_convs[0].kernel
    assert kernel.shape == (4, 6, 1024, 1)


@pytest.mark.parametrize(
    "kwargs, error, message",
    [
        ({"ratio": 0}, ValueError, "`ratio` must be a positive integer. Received: ratio=0"),
        ({"stages": [0]}, ValueError, "`stages` must hold stages from 1 to 4"),
        ({"geometry": "mxnet"}, ValueError, "`geometry` must be one of"),
        ({"attention": "se"}, ValueError, "`attention` must be one of None, 'cbam'. Received"),
        ({"combine": "sum"}, TypeError, "CBAMResNet18() got an unexpected keyword .*'combine'"),
    ],
)
def test_wrong_arguments(kwargs, error, message):
    with pytest.raises(error, match=message.replace("()", r"\(\)")):
        CBAMResNet18(**kwargs)


@pytest.mark.parametrize("name", ["CBAMResNet18", "BAMResNet34", "ECAResNet50", "SKResNet50"])
def test_the_examples_of_constructors(name):
    constructor = getattr(applications, name)
    assert constructor.__name__ == name
    test = doctest.DocTestParser().get_doctest(
        constructor.__doc__, {"keras_attn": keras_attn}, name, None, None
    )
    report: list[str] = []
    failures, attempts = doctest.DocTestRunner().run(test, out=report.append)
    assert attempts == 2 and not failures, "".join(report)


# ------------------------------------------------------------------- any attention in the blocks

SMALL = partial(CIFARResNet, 20, include_top=False, pooling="avg")
# In CIFARResNet(20) of 3 stages with 3 blocks.
PLACES = {
    "branch": [(s, b) for s in (1, 2, 3) for b in (1, 2, 3)],
    "bam": [(1, 3), (2, 3)],
    "non_local": [(2, 2)],
    "sagan": [(2, 2)],
    "sk": [(s, b) for s in (1, 2, 3) for b in (1, 2, 3)],
    "bot": [(3, 1), (3, 2), (3, 3)],
    "halo": [(s, b) for s in (2, 3) for b in (1, 2, 3)],
    "self_attention": [(3, 1), (3, 2), (3, 3)],
    "attention_module": [(1, 1), (2, 1)],
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "aa"])
def test_every_kind_in_a_network(kind):
    model = SMALL(attention=kind, input_shape=(16, 16, 3))
    assert model.name == f"{kind}_resnet20_cifar"
    places = PLACES.get(kind, PLACES["branch"])
    new = [layer for layer in model.layers if isinstance(layer, KINDS[kind].layer)]
    assert [x.name for x in new] == [f"stage{s}_block{b}_{kind}" for s, b in places]
    y = model(image(2, 16, 16, 3))
    assert y.shape == (2, 64) and np.all(np.isfinite(y))
    stage, block = places[-1]
    before = new[-1].input._keras_history.operation.name
    after = {
        "branch": f"stage{stage}_block{block}_bn2",
        "block": f"stage{stage}_block{block}_relu2",
        "convolution": f"stage{stage}_block{block - 1}_relu2",
    }
    assert before == after[KINDS[kind].place]
    assert KINDS[kind].source


def test_what_stands_instead_of_the_convolution():
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


def test_unknown_sizes_have_the_tables_of_the_default():
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
    model = SMALL(attention=bot, attention_stages=[3])
    assert model.get_layer("stage3_block1_bottleneck_self_attention2d").num_heads == 2
    dropout = SMALL(attention=keras.layers.SpatialDropout2D(0.2), attention_stages=[1])
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


@pytest.mark.parametrize("construct", [SMALL, partial(ResNet18, include_top=False)])
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
