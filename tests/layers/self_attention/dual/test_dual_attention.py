"""PositionAttention and ChannelAttention against the authors' code."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import random_images, random_weights
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import ChannelAttention, PositionAttention

PARTS = {
    "query": "query_conv",
    "key": "key_conv",
    "value": "value_conv",
    "gamma": ("gamma", np.ravel),
}


@pytest.mark.parametrize(
    "options", [{}, {"implementation": "chunked", "max_logits_bytes": 400}], ids=str
)
def test_position_equals_the_authors(options):
    assert_equals_source(PositionAttention(**options), "position_attention", PARTS)


def test_channel_equals_the_authors():
    assert_equals_source(ChannelAttention(), "channel_attention", {"gamma": PARTS["gamma"]})


def test_position_by_hand():
    layer = PositionAttention(1)
    layer.build((None, None, None, 1))
    one, zero = np.ones((1, 1)), np.zeros(1)
    values = {
        "query/kernel": one,
        "key/kernel": one,
        "value/kernel": 10 * one,
        "gamma": np.array(2.0),
    }
    layer.set_weights([values.get(w.path.split("/", 1)[1], zero) for w in layer.weights])
    x = np.array([0.0, 1.0], "float32").reshape(1, 1, 2, 1)
    y, attention = layer(x, return_attention=True)
    # The place of 0 looks everywhere alike; the place of 1 at itself e times as much.
    e = np.e
    np.testing.assert_allclose(attention[0, 0], [[0.5, 0.5], [1 / (1 + e), e / (1 + e)]], rtol=1e-6)
    np.testing.assert_allclose(np.ravel(y), [10.0, 1 + 20 * e / (1 + e)], rtol=1e-6)


def test_channel_by_hand():
    layer = ChannelAttention()
    layer.build((None, None, None, 2))
    layer.gamma.assign(1.0)
    x = np.array([[1.0, 0.0], [0.0, 2.0]], "float32").reshape(1, 1, 2, 2)
    # The products are 1, 0 and 4: each channel takes mostly the other.
    _, attention = layer(x, return_attention=True)
    a, b = 1 / (1 + np.exp(1)), 1 / (1 + np.exp(4))
    np.testing.assert_allclose(attention[0], [[a, 1 - a], [1 - b, b]], rtol=1e-6)


def test_chunks_equal_the_whole_map():
    whole = PositionAttention(2, implementation="full", dtype="float64")
    random_weights(whole, (2, 5, 3, 6))
    chunked = PositionAttention(
        2, implementation="chunked", max_logits_bytes=2 * 8 * 15, dtype="float64"
    )
    chunked.build((2, 5, 3, 6))
    chunked.set_weights(whole.get_weights())
    x = random_images((2, 5, 3, 6))
    assert_close(chunked(x).numpy(), whole(x).numpy(), 1e-12)


@pytest.mark.parametrize("layer", [PositionAttention, ChannelAttention])
def test_a_fresh_layer_is_the_identity(layer):
    x = random_images((2, 5, 3, 16)).astype("float32")
    np.testing.assert_array_equal(layer()(x), x)


def test_parameters():
    layer = PositionAttention()
    layer.build((None, None, None, 512))
    assert layer.count_params() == 2 * (512 * 64 + 64) + 512 * 512 + 512 + 1
    layer = ChannelAttention()
    layer.build((None, None, None, 512))
    assert layer.count_params() == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"ratio": 0}, "`ratio` must be a positive integer.*ratio=0"),
        ({"implementation": "fast"}, "`implementation` must be one of 'auto'.*'fast'"),
        ({"max_logits_bytes": 0}, "`max_logits_bytes` must be a positive integer.*=0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PositionAttention(**arguments)


def test_maps_that_are_too_large():
    x = random_images((1, 5, 3, 8)).astype("float32")
    layer = PositionAttention(implementation="chunked", max_logits_bytes=59)
    with pytest.raises(ValueError, match="`max_logits_bytes` must hold one query's logits.*=59"):
        layer(x)
    with pytest.raises(ValueError, match="`return_attention` makes the whole map, here 900 bytes"):
        layer(x, return_attention=True)
