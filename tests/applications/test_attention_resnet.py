"""CBAM, BAM, GE, ECA, GC and SK ResNets: counts, and what every network must do."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.network_checks import (
    NetworkChecks,
    count_trainable,
    image,
    layer_names,
    narrow,
    read_layer_names,
)
from keras_attn.applications import (
    MODELS,
    BAMResNet18,
    CBAMResNet18,
    ECAResNet50,
    GCResNet50,
    GEResNet50,
    SKResNet50,
)
from keras_attn.applications.attention_resnet import (
    bam,
    cbam,
    eca,
    gather_excite,
    global_context,
    selective_kernel,
)
from keras_attn.layers import CBAM


class OfPapers(NetworkChecks):
    slim = narrow(cbam, bam, gather_excite, eca, global_context, selective_kernel)
    channels = 1024


@pytest.mark.thorough
class TestCBAMResNet(OfPapers):
    # As the authors have it, gammas of 0 keep the gradient from the spatial kernels in step one.
    make = staticmethod(partial(CBAMResNet18, zero_gamma=False))
    channels = 256


@pytest.mark.thorough
class TestBAMResNet(OfPapers):
    make = staticmethod(BAMResNet18)
    channels = 256
    no_gradient = ("channel_reduce/bias", "spatial_reduce/bias", "conv1/bias", "conv2/bias")


@pytest.mark.thorough
class TestGEResNet(OfPapers):
    make = staticmethod(partial(GEResNet50, mode="theta_plus", extent=2))


@pytest.mark.thorough
class TestECAResNet(OfPapers):
    make = staticmethod(ECAResNet50)


@pytest.mark.thorough
class TestGCResNet(OfPapers):
    # Where it adds, its last kernel starts at 0.
    make = staticmethod(partial(GCResNet50, fusion="scale"))
    no_gradient = ("logit/bias",)


@pytest.mark.thorough
class TestSKResNet(OfPapers):
    make = staticmethod(SKResNet50)


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
def test_parameters_and_names(name, no_values):
    model = MODELS[name]()
    assert model.name == name
    assert count_trainable(model) == COUNTS[name]
    if name in GOLDENS:
        assert layer_names(model) == read_layer_names(name)


def test_attention_none_is_the_baseline(built):
    model, plain = built("CBAMResNet18", attention=None), built("ResNet18")
    assert model.name == "resnet18"
    assert layer_names(model) == layer_names(plain)
    assert built("SKResNet50", attention=None, include_top=False).name == "resnext50"


def test_options_and_stages(no_values):
    model = CBAMResNet18(ratio=8, stages=[2, 4], geometry="caffe")
    gates = [layer for layer in model.layers if isinstance(layer, CBAM)]
    assert [x.name for x in gates] == [f"stage{s}_block{b}_cbam" for s in (2, 4) for b in (1, 2)]
    assert {x.channel_gate.ratio for x in gates} == {8}
    assert all(x.spatial_gate.zero_gamma for x in gates)
    product = BAMResNet18(combine="product", stages=[4])
    assert product.get_layer("stage4_block2_bam").combine == "product"
    assert GEResNet50(extent=4).name == "ge_resnet50_theta_minus"


def test_a_fresh_cbam_gives_every_place_half(few_blocks):
    """The authors' start: gammas of 0."""
    few_blocks(CBAMResNet18)
    model = CBAMResNet18(input_shape=(None, None, 3))
    layer = model.get_layer("stage2_block1_cbam")
    x = image(2, 8, 6, 128)
    y, gate = layer(x, return_attention=True)
    channel = layer.channel_gate(x, return_attention=True)[1]
    assert_close(gate.numpy(), np.broadcast_to(channel, gate.shape) / 2)
    assert_close(y.numpy(), x * gate.numpy())


def test_theta_serves_one_size(no_values, few_blocks):
    with pytest.raises(ValueError, match="`extent` must be 2, 4 or 8, or the mode 'theta_minus'"):
        GEResNet50(mode="theta", input_shape=(None, None, 3))
    few_blocks(GEResNet50)
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
