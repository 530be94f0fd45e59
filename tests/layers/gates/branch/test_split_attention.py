"""SplitAttention against timm."""

import numpy as np
import pytest

from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import SplitAttention
from keras_attn.layers.gates.branch.split_attention import radix_softmax

PARTS = {"conv": "conv", "bn": "bn0", "reduce": "fc1", "reduce_bn": "bn1", "select": "fc2"}


@pytest.mark.parametrize(
    "name, options",
    [
        ("", {}),
        ("_strided", {"filters": 8, "strides": 2, "groups": 2}),
        ("_radix_1", {"radix": 1, "kernel_size": 1}),
    ],
)
def test_equals_timm(name, options):
    layer = SplitAttention(**options, bottleneck_divisor=8)
    assert_equals_source(layer, f"split_attention{name}", PARTS)


def test_the_softmax_by_hand():
    # Two groups of one filter: their splits are the logits 0 and 1, 2 and 3.
    logits = np.log(np.array([[1.0, 3.0, 2.0, 2.0]]))
    weights = np.asarray(radix_softmax(logits, radix=2, groups=2))
    np.testing.assert_allclose(weights, [[[0.25, 0.5], [0.75, 0.5]]], rtol=1e-6)


def test_parameters():
    """The 3x3 of ResNeSt-50's first block, 64 channels and radix 2: without and with its MLP."""
    layer = SplitAttention()
    layer.build((None, None, None, 64))
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    convolution = 9 * 32 * 128 + 2 * 128
    assert trainable == convolution + (64 * 32 + 32) + 2 * 32 + (32 * 128 + 128)


@pytest.mark.parametrize(
    "argument",
    ["filters", "strides", "radix", "groups", "ratio", "min_bottleneck_channels", "kernel_size"],
)
def test_wrong_arguments(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be a positive integer. .*=0"):
        SplitAttention(**{argument: 0})


def test_channels_that_are_no_groups():
    with pytest.raises(ValueError, match="`radix \\* groups` must divide.*groups=5.*12"):
        SplitAttention(groups=5).build((None, None, None, 12))
