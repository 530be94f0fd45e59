"""CrissCrossAttention against the authors' code, and what each place has seen."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images, random_weights
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import CrissCrossAttention, attention_by_place

PARTS = {"query": "query_conv", "key": "key_conv", "value": "value_conv"}


def test_once_equals_the_authors():
    parts = {**PARTS, "gamma": ("gamma", np.ravel)}
    assert_equals_source(CrissCrossAttention(recurrence=1), "criss_cross_attention", parts)


def test_twice_equals_the_authors():
    parts = {ours: f"module.{theirs}" for ours, theirs in PARTS.items()}
    parts["gamma"] = ("module.gamma", np.ravel)
    assert_equals_source(CrissCrossAttention(), "criss_cross_attention_twice", parts)


def test_by_hand():
    # No query: each place looks at the 3 + 5 - 1 places of its cross alike.
    layer = CrissCrossAttention(1, recurrence=1)
    layer.build((None, None, None, 1))
    values = {"value/kernel": 7.0, "gamma": 1.0}
    layer.set_weights(
        [np.full(w.shape, values.get(w.path.split("/", 1)[1], 0.0)) for w in layer.weights]
    )
    x = np.zeros((1, 3, 5, 1), "float32")
    x[0, 1, 2] = 1
    expected = np.zeros((3, 5))
    expected[1, :] = expected[:, 2] = 1
    expected[1, 2] = 2
    np.testing.assert_allclose(layer(x)[0, :, :, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("recurrence", [1, 2])
def test_what_a_place_has_seen(recurrence):
    layer = CrissCrossAttention(2, recurrence=recurrence, dtype="float64")
    random_weights(layer, (1, 4, 5, 6))
    x = random_images((1, 4, 5, 6))
    changed = x.copy()
    changed[0, 1, 2] += 1
    moved = np.abs(np.subtract(layer(x), layer(changed))).max((0, 3)) > 1e-13
    expected = np.full((4, 5), recurrence == 2)
    expected[1, :] = expected[:, 2] = True
    np.testing.assert_array_equal(moved, expected)


def test_what_one_place_pays():
    layer = CrissCrossAttention(2)
    random_weights(layer, (1, 4, 5, 6))
    y, attention = layer(random_images((2, 4, 5, 6)).astype("float32"), return_attention=True)
    paid = np.asarray(attention_by_place(layer, attention, y.shape, (3, 1)))
    np.testing.assert_allclose(paid.sum((1, 2)), 1, rtol=1e-6)
    np.testing.assert_allclose(paid[:, :3, 1], attention[:, 0, 3, 1, :3], rtol=1e-6)
    np.testing.assert_allclose(paid[:, 3], attention[:, 0, 3, 1, 4:], rtol=1e-6)
    assert not paid[:, :3, [0, 2, 3, 4]].any()
    with pytest.raises(ValueError, match="`query` must be a place within"):
        attention_by_place(layer, attention, y.shape, (4, 0))


def test_a_fresh_layer_is_the_identity():
    x = random_images((2, 5, 3, 16)).astype("float32")
    np.testing.assert_array_equal(CrissCrossAttention()(x), x)


@pytest.mark.parametrize("argument", ["ratio", "recurrence"])
def test_wrong_arguments(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be a positive integer. .*=0"):
        CrissCrossAttention(**{argument: 0})
