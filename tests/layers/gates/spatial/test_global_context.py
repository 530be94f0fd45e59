"""GlobalContext against NumPy and timm."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import (
    conv2d,
    dense,
    random_images,
    random_weights,
    relu,
    sigmoid,
    softmax,
)
from helpers.oracles.reference_outputs import load_source, set_from_source
from keras_attn.layers import GlobalContext

PARTS = {"logit": "conv_attn", "reduce": "mlp_{}.fc1", "ln": "mlp_{}.norm", "expand": "mlp_{}.fc2"}


def layer_norm(x, weights, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    x = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    return weights["ln/gamma"] * x + weights["ln/beta"]


@pytest.mark.parametrize("fusion, epsilon", [("add", 1e-6), ("scale", 0.5)])
def test_equals_numpy(fusion, epsilon):
    shape = (2, 7, 5, 12)
    layer = GlobalContext(3, fusion=fusion, epsilon=epsilon, dtype="float64")
    weights = random_weights(layer, shape)
    x = random_images(shape)
    attention = softmax(conv2d(x, weights, "logit").reshape(2, 35)).reshape(2, 7, 5, 1)
    context = (attention * x).sum((1, 2))
    hidden = relu(layer_norm(dense(context, weights, "reduce"), weights, epsilon))
    context = dense(hidden, weights, "expand")[:, None, None]
    y, got = layer(x, return_attention=True)
    assert_close(got.numpy(), attention, 1e-12)
    assert_close(y.numpy(), x + context if fusion == "add" else x * sigmoid(context), 1e-12)


@pytest.mark.parametrize("fusion", ["add", "scale"])
def test_equals_timm(fusion):
    state, x, expected = load_source("timm", f"global_context_{fusion}")
    layer = GlobalContext(8, fusion=fusion)
    parts = {ours: theirs.format(fusion) for ours, theirs in PARTS.items()}
    set_from_source(layer, x.shape, state, parts)
    assert_close(layer(x).numpy(), expected)


def test_fresh_block_that_adds_is_the_identity():
    x = random_images((2, 5, 3, 16)).astype("float32")
    np.testing.assert_array_equal(GlobalContext()(x), x)


@pytest.mark.parametrize("channels, ratio", [(256, 16), (24, 8)])
def test_parameters(channels, ratio):
    layer = GlobalContext(ratio)
    layer.build((None, None, None, channels))
    h = channels // ratio
    assert layer.count_params() == channels + 1 + 2 * channels * h + h + 2 * h + channels


def test_bottleneck_of_no_channels():
    with pytest.raises(ValueError, match="`ratio` must not be greater .* ratio=16, channels=15"):
        GlobalContext().build((None, 7, 7, 15))


def test_wrong_fusion():
    with pytest.raises(ValueError, match="`fusion` must be one of 'add', 'scale'. .*fusion='mul'"):
        GlobalContext(fusion="mul")
