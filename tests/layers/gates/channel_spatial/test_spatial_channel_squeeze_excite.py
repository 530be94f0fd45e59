"""SpatialChannelSqueezeExcite against NumPy."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import conv2d, random_images, random_weights, relu, sigmoid
from keras_attn.layers import SpatialChannelSqueezeExcite, SqueezeExcite

COMBINATIONS = {
    "add": np.add,
    "max": np.maximum,
    "multiply": np.multiply,
    "concatenate": lambda a, b: np.concatenate([a, b], axis=3),
}


def channel_gate(x, weights):
    hidden = x.mean((1, 2)) @ weights["channel/reduce_kernel"]
    hidden = relu(hidden + weights.get("channel/reduce_bias", 0))
    gate = hidden @ weights["channel/expand_kernel"] + weights.get("channel/expand_bias", 0)
    return sigmoid(gate)[:, None, None]


def spatial_gate(x, weights):
    return sigmoid(conv2d(x, weights, "spatial"))


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("mode", ["channel", "spatial"])
def test_one_gate_equals_numpy(mode, use_bias):
    shape = (2, 7, 5, 6)
    layer = SpatialChannelSqueezeExcite(mode=mode, use_bias=use_bias, dtype="float64")
    weights = random_weights(layer, shape)
    x = random_images(shape)
    gates = {"channel": channel_gate, "spatial": spatial_gate}
    gate = gates[mode](x, weights)
    y, got = layer(x, return_attention=True)
    assert_close(got.numpy(), gate, 1e-12)
    assert_close(y.numpy(), x * gate, 1e-12)


@pytest.mark.parametrize("combine", COMBINATIONS)
def test_both_equal_numpy(combine):
    shape = (2, 7, 5, 6)
    layer = SpatialChannelSqueezeExcite(3, combine=combine, dtype="float64")
    weights = random_weights(layer, shape)
    x = random_images(shape)
    by_channel, by_place = channel_gate(x, weights), spatial_gate(x, weights)
    y, gate = layer(x, return_attention=True)
    assert_close(y.numpy(), COMBINATIONS[combine](x * by_channel, x * by_place), 1e-12)
    assert_close(gate.numpy()[..., :6], np.broadcast_to(by_channel, shape), 1e-12)
    assert_close(gate.numpy()[..., 6:], by_place, 1e-12)


def test_by_hand():
    # All weights 0: both gates are 1/2, and their sum leaves the map as it is.
    layer = SpatialChannelSqueezeExcite()
    layer.build((None, None, None, 4))
    layer.set_weights([np.zeros(w.shape) for w in layer.weights])
    x = random_images((1, 3, 5, 4)).astype("float32")
    np.testing.assert_allclose(layer(x), x, rtol=1e-6)


def test_channel_mode_is_squeeze_excite():
    layer, plain = SpatialChannelSqueezeExcite(mode="channel"), SqueezeExcite(2)
    layer.build((2, 7, 5, 6))
    plain.build((2, 7, 5, 6))
    plain.set_weights(layer.get_weights())
    x = random_images((2, 7, 5, 6)).astype("float32")
    np.testing.assert_array_equal(layer(x), plain(x))


@pytest.mark.parametrize(
    "mode, expected", [("channel", 64 * 64 + 32 + 64), ("spatial", 65), ("both", 4_257)]
)
def test_parameters(mode, expected):
    layer = SpatialChannelSqueezeExcite(mode=mode)
    layer.build((None, None, None, 64))
    assert layer.count_params() == expected


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (
            {"mode": "scse"},
            "`mode` must be one of 'channel', 'spatial', 'both'. Received: mode='scse'",
        ),
        (
            {"combine": "concat"},
            "`combine` must be one of 'add', 'max', 'multiply', 'concatenate'. "
            "Received: combine='concat'",
        ),
        ({"ratio": 0}, "`ratio` must be a positive integer. Received: ratio=0"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        SpatialChannelSqueezeExcite(**kwargs)
    assert message in str(error.value)


def test_bottleneck_of_no_channels():
    with pytest.raises(ValueError, match="`ratio` must not be greater .* ratio=2, channels=1"):
        SpatialChannelSqueezeExcite().build((None, 7, 7, 1))
    SpatialChannelSqueezeExcite(mode="spatial").build((None, 7, 7, 1))
