"""LightCBAM against timm."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import LightCBAM


def test_equals_timm():
    parts = {
        "reduce": "channel.fc1",
        "expand": "channel.fc2",
        "conv": "spatial.conv.conv",
        "bn": "spatial.conv.bn",
    }
    assert_equals_source(LightCBAM(), "light_cbam", parts)


def test_by_hand():
    # All weights 0: both gates are 1/2 everywhere.
    layer = LightCBAM(ratio=2, use_bias=True)
    layer.build((None, None, None, 4))
    layer.set_weights([np.zeros(w.shape) for w in layer.weights])
    x = random_images((1, 3, 5, 4)).astype("float32")
    y, gate = layer(x, return_attention=True)
    np.testing.assert_allclose(y, x / 4, rtol=1e-6)
    np.testing.assert_allclose(gate, np.full(x.shape, 0.25), rtol=1e-6)


def test_parameters():
    layer = LightCBAM()
    layer.build((None, None, None, 64))
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert trainable == 2 * 64 * 4 + 49 + 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"ratio": 0}, "`ratio` must be a positive integer.*ratio=0"),
        ({"kernel_size": 4}, "`kernel_size` must be odd.*kernel_size=4"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LightCBAM(**arguments)


def test_too_few_channels():
    with pytest.raises(ValueError, match="`ratio` must not be greater than the number of input"):
        LightCBAM().build((None, None, None, 8))
