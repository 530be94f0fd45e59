"""CoordinateAttention against NumPy and timm."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import batch_norm, dense, random_images, random_weights, sigmoid
from helpers.oracles.reference_outputs import load_source, set_from_source
from keras_attn.layers import CoordinateAttention


@pytest.mark.parametrize("use_bias", [True, False])
def test_equals_numpy(use_bias):
    shape = (2, 7, 5, 6)
    layer = CoordinateAttention(use_bias=use_bias, dtype="float64")
    weights = random_weights(layer, shape)
    x = random_images(shape)

    def strip(means):
        hidden = batch_norm(dense(means, weights, "reduce"), weights, "bn")
        return hidden * np.clip(hidden + 3, 0, 6) / 6

    gate_h = sigmoid(dense(strip(x.mean(2)), weights, "rows"))[:, :, None]
    gate_w = sigmoid(dense(strip(x.mean(1)), weights, "columns"))[:, None]
    y, gate = layer(x, return_attention=True)
    assert_close(gate.numpy(), gate_h * gate_w, 1e-12)
    assert_close(y.numpy(), x * gate_h * gate_w, 1e-12)


@pytest.mark.parametrize("name, use_bias", [("coord_attn", False), ("coord_attn_bias", True)])
def test_equals_timm(name, use_bias):
    state, x, expected = load_source("timm", name)
    layer = CoordinateAttention(bottleneck_channels=8, use_bias=use_bias)
    parts = {"reduce": "conv1", "bn": "bn1", "rows": "conv_h", "columns": "conv_w"}
    set_from_source(layer, x.shape, state, parts)
    assert_close(layer(x).numpy(), expected)


def test_by_hand():
    # All weights 0: both gates are 1/2 everywhere.
    layer = CoordinateAttention()
    layer.build((None, None, None, 3))
    layer.set_weights([np.zeros(w.shape) for w in layer.weights])
    x = random_images((1, 3, 5, 3)).astype("float32")
    np.testing.assert_allclose(layer(x), x / 4, rtol=1e-6)


def test_a_rows_gate_sees_its_row_only():
    layer = CoordinateAttention()
    random_weights(layer, (1, 7, 5, 6))
    x = random_images((1, 7, 5, 6)).astype("float32")
    changed = x.copy()
    changed[0, 2, 3] += 1
    _, gate = layer(x, return_attention=True)
    _, other = layer(changed, return_attention=True)
    moved = np.abs(np.subtract(gate, other)).max((0, 3)) > 1e-6
    expected = np.zeros((7, 5), bool)
    expected[2, :] = expected[:, 3] = True
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("channels, ratio, width", [(64, 32, 8), (320, 32, 10), (96, 8, 12)])
def test_parameters(channels, ratio, width):
    layer = CoordinateAttention(ratio)
    layer.build((None, None, None, channels))
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert trainable == 3 * channels * width + 3 * width + 2 * channels


@pytest.mark.parametrize("argument", ["ratio", "bottleneck_channels"])
def test_wrong_arguments(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be a positive integer. .*=0"):
        CoordinateAttention(**{argument: 0})
