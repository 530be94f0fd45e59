"""EfficientChannelAttention against NumPy and timm."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import random_images, random_weights, sigmoid
from helpers.oracles.reference_outputs import (
    assert_equals_source,
    load_source,
    set_from_source,
)
from keras_attn.layers import EfficientChannelAttention
from keras_attn.layers.gates.channel.efficient_channel_attention import channel_kernel_size


@pytest.mark.parametrize("kernel_size", [None, 1, 5])
def test_equals_numpy(kernel_size):
    shape = (2, 5, 3, 11)
    layer = EfficientChannelAttention(kernel_size, dtype="float64")
    kernel = random_weights(layer, shape)["conv/kernel"].ravel()
    x = random_images(shape)
    half = len(kernel) // 2
    means = np.pad(x.mean((1, 2)), ((0, 0), (half, half)))
    gate = sigmoid(np.stack([np.convolve(z, kernel[::-1], "valid") for z in means]))
    y, got = layer(x, return_attention=True)
    assert_close(got.numpy(), gate[:, None, None], 1e-12)
    assert_close(y.numpy(), x * gate[:, None, None], 1e-12)


def test_by_hand():
    layer = EfficientChannelAttention(3)
    layer.build((None, None, None, 4))
    layer.set_weights([np.array([1.0, 10.0, 100.0]).reshape(3, 1, 1)])
    x = np.array([1, 2, 0, -1], "float32").reshape(1, 1, 1, 4) / 1000
    _, gate = layer(x, return_attention=True)
    # 10 + 200, 1 + 20 + 0, 2 + 0 - 100, 0 - 10, over 1000.
    expected = sigmoid(np.array([0.21, 0.021, -0.098, -0.01]))
    np.testing.assert_allclose(np.ravel(gate), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["eca", "eca_128"])
def test_equals_timm(name):
    state, x, expected = load_source("timm", name)
    layer = EfficientChannelAttention()
    set_from_source(layer, x.shape, state, {"conv": "conv"})
    assert_close(layer(x).numpy(), expected)


@pytest.mark.parametrize("name", ["ceca", "ceca_128"])
def test_circular_equals_timm(name):
    assert_equals_source(EfficientChannelAttention(padding="circular"), name, {"conv": "conv"})


def test_circular_by_hand():
    layer = EfficientChannelAttention(3, padding="circular")
    layer.build((None, None, None, 4))
    layer.set_weights([np.array([1.0, 10.0, 100.0]).reshape(3, 1, 1)])
    x = np.array([1, 2, 0, -1], "float32").reshape(1, 1, 1, 4) / 1000
    _, gate = layer(x, return_attention=True)
    # -1 + 10 + 200, 1 + 20 + 0, 2 + 0 - 100, 0 - 10 + 100, over 1000.
    expected = sigmoid(np.array([0.209, 0.021, -0.098, 0.09]))
    np.testing.assert_allclose(np.ravel(gate), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "channels, size",
    [(1, 3), (2, 3), (16, 3), (64, 3), (128, 5), (256, 5), (512, 5), (1024, 5), (2048, 7)],
)
def test_the_rule(channels, size):
    assert channel_kernel_size(channels) == size
    layer = EfficientChannelAttention()
    layer.build((None, None, None, channels))
    assert layer.count_params() == size


@pytest.mark.parametrize("size, rule", [(0, "a positive integer"), (4, "odd"), (2.0, "a positive")])
def test_wrong_kernel_size(size, rule):
    with pytest.raises(ValueError, match=f"`kernel_size` must be {rule}.*kernel_size={size}"):
        EfficientChannelAttention(size)


def test_wrong_padding():
    with pytest.raises(ValueError, match="`padding` must be one of 'zeros', 'circular'.*'same'"):
        EfficientChannelAttention(padding="same")
    layer = EfficientChannelAttention(7, padding="circular")
    with pytest.raises(ValueError, match="`kernel_size // 2` must be at most.*kernel_size=7"):
        layer.build((None, None, None, 2))
