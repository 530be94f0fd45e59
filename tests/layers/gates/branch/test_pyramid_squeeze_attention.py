"""PyramidSqueezeAttention against the authors' code."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import PyramidSqueezeAttention

PARTS = {f"conv{i}": f"conv_{i}" for i in range(1, 5)}
PARTS |= {"reduce": "se.fc1", "expand": "se.fc2"}


@pytest.mark.parametrize("name, strides", [("", 1), ("_strided", 2)])
def test_equals_the_authors(name, strides):
    layer = PyramidSqueezeAttention(64, strides=strides, branch_groups=(1, 2, 4, 8))
    assert_equals_source(layer, f"pyramid_squeeze_attention{name}", PARTS)


def test_by_hand():
    # No gate prefers a branch: each is halved, and the last of them comes first.
    layer = PyramidSqueezeAttention(2, kernel_sizes=(1, 1), branch_groups=(1, 1), ratio=1)
    layer.build((None, None, None, 1))
    values = {"conv1/kernel": 2.0, "conv2/kernel": 6.0}
    layer.set_weights(
        [np.full(w.shape, values.get(w.path.split("/", 1)[1], 0.0)) for w in layer.weights]
    )
    x = random_images((1, 3, 5, 1)).astype("float32")
    np.testing.assert_allclose(layer(x), x * [3.0, 1.0], rtol=1e-6)


def test_parameters():
    """Of EPSANet-50's first block: 64 channels, the authors' branches."""
    layer = PyramidSqueezeAttention()
    layer.build((None, None, None, 64))
    branches = 16 * (64 * 9 + 16 * 25 + 8 * 49 + 4 * 81)
    assert layer.count_params() == branches + (16 * 1 + 1) + (1 * 16 + 16)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"strides": 0}, "`strides` must be a positive integer.*strides=0"),
        ({"kernel_sizes": (3, 4, 5, 7)}, "`kernel_sizes` must be odd.*kernel_sizes=4"),
        ({"kernel_sizes": (3, 5)}, "must be two or more numbers, as many of one as of the other"),
        ({"branch_groups": (1, 0, 1, 1)}, "`branch_groups` must be a positive integer.*=0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PyramidSqueezeAttention(**arguments)


@pytest.mark.parametrize("channels", [30, 48])
def test_channels_that_are_no_branches(channels):
    with pytest.raises(ValueError, match=f"divisible by the 4 branches.*filters={channels}"):
        PyramidSqueezeAttention().build((None, None, None, channels))
