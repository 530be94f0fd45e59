"""The gated loss and its gradient by hand; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.backend import value_and_gradient
from keras_attn.losses import GatedCrossentropy

LABELS = np.array([[[1, 0], [0, 1]], [[1, 1], [0, 0]]], "float32")
GATE = np.array([[[1, 0.5], [0, 0]], [[0, 0], [1, 1]]], "float32")
LOGITS = np.array([[[2.0, -1.0], [5.0, -5.0]], [[1.0, 3.0], [-2.0, 0.0]]], "float32")[..., None]


def joined(gate):
    return np.stack([LABELS, np.broadcast_to(gate, LABELS.shape)], axis=-1).astype("float32")


def softplus(x):
    return np.log1p(np.exp(x))


def gradient_of(y_true, y_pred, loss=None):
    loss = loss or GatedCrossentropy(reduction="sum")
    gradient = value_and_gradient(lambda z: (loss(y_true, z), None), ops.convert_to_tensor(y_pred))[
        1
    ]
    return ops.convert_to_numpy(gradient)


def test_by_hand():
    """BCE is softplus(-z) of a label 1 and softplus(z) of 0."""
    first = (softplus(-2.0) + 0.5 * softplus(-1.0)) / 1.5
    second = (softplus(-2.0) + softplus(0.0)) / 2
    each = GatedCrossentropy(reduction=None)(joined(GATE), LOGITS)
    np.testing.assert_allclose(ops.convert_to_numpy(each), [first, second], rtol=1e-6)
    mean = float(GatedCrossentropy()(joined(GATE), LOGITS))
    assert mean == pytest.approx((first + second) / 2, rel=1e-6)
    probabilities = 1 / (1 + np.exp(-LOGITS))
    found = float(GatedCrossentropy(from_logits=False)(joined(GATE), probabilities))
    assert found == pytest.approx((first + second) / 2, rel=1e-5)


def test_its_gradient_by_hand():
    expected = GATE * (1 / (1 + np.exp(-LOGITS[..., 0])) - LABELS)
    expected /= np.array([1.5, 2])[:, None, None]
    gradient = gradient_of(joined(GATE), LOGITS)[..., 0]
    np.testing.assert_allclose(gradient, expected, atol=1e-7)
    assert not gradient[GATE == 0].any()


def test_an_open_gate_is_plain_binary_crossentropy():
    plain = keras.losses.BinaryCrossentropy(from_logits=True)(LABELS[..., None], LOGITS)
    found = GatedCrossentropy()(joined(1), LOGITS)
    assert float(found) == pytest.approx(float(plain), rel=1e-6)


@pytest.mark.parametrize("logit", [3.0, np.inf])
def test_a_closed_gate_is_nothing(logit):
    wild = LOGITS.copy()
    wild[0, 0, 0] = logit
    assert float(GatedCrossentropy()(joined(0), wild)) == 0
    np.testing.assert_array_equal(gradient_of(joined(0), wild), 0)


def test_a_gate_of_little_weight_is_not_blown_up():
    """max(1, sum m): half a place counts half."""
    gate = np.zeros((2, 2, 2))
    gate[0, 0, 0] = 0.5
    each = ops.convert_to_numpy(GatedCrossentropy(reduction=None)(joined(gate), LOGITS))
    np.testing.assert_allclose(each, [0.5 * softplus(-2.0), 0], rtol=1e-6)


def test_the_gate_gets_no_gradient():
    def run(gate):
        y_true = ops.stack([ops.convert_to_tensor(LABELS), gate], axis=-1)
        return GatedCrossentropy()(y_true, LOGITS), None

    gradient = value_and_gradient(run, ops.convert_to_tensor(GATE))[1]
    assert not ops.convert_to_numpy(gradient).any()


def test_its_config_makes_it_again():
    loss = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(GatedCrossentropy(False, name="bows"))
    )
    assert isinstance(loss, GatedCrossentropy)
    assert (loss.from_logits, loss.name) == (False, "bows")


@pytest.mark.parametrize(
    ("y_true", "y_pred"),
    [
        (joined(GATE)[:, :1], LOGITS),
        (joined(GATE)[..., :1], LOGITS),
        (joined(GATE), LOGITS[..., 0]),
        (joined(GATE), np.concatenate([LOGITS, LOGITS], -1)),
    ],
)
def test_wrong_arguments(y_true, y_pred):
    with pytest.raises(ValueError, match=r"`y_true` must be \(B, H, W, 2\).* Received: shapes"):
        GatedCrossentropy()(y_true, y_pred)
