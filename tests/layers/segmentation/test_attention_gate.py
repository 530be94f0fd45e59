"""The gate of a coarse map by hand, its gradients, wrong inputs; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import layers
from keras_attn.backend import value_and_gradient
from keras_attn.layers import AttentionGate

COARSE = np.array([[[[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], [[0.2, 0.3, 0.5], [0.4, 0.4, 0.2]]]])


@pytest.fixture(scope="module")
def fine():
    return np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("float32")


def upsampled(coarse):
    """From 2 to 4 by hand: weights 1, 3/4, 1/4, 0 of the first."""
    matrix = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    return np.einsum("ih,bhwc,jw->bijc", matrix, coarse, matrix)


@pytest.mark.parametrize("classes", [1, [0, 2]])
def test_gates_by_hand(fine, classes):
    resized = upsampled(COARSE)
    of = np.isin(np.arange(3), classes)
    hard, gate = AttentionGate(classes)(fine, COARSE, return_attention=True)
    expected = of[resized.argmax(-1)][..., None]
    assert 0 < expected.sum() < 16
    np.testing.assert_array_equal(ops.convert_to_numpy(gate), expected)
    np.testing.assert_array_equal(ops.convert_to_numpy(hard), fine * expected)
    soft, gate = AttentionGate(classes, "soft")(fine, COARSE, return_attention=True)
    expected = resized[..., of].sum(-1, keepdims=True)
    np.testing.assert_allclose(ops.convert_to_numpy(gate), expected, atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(soft), fine * expected, atol=1e-6)


def test_what_gradients_pass(fine):
    given = {
        "fine": ops.convert_to_tensor(fine),
        "coarse": ops.convert_to_tensor(COARSE, "float32"),
    }

    def gradient(of, **options):
        layer = AttentionGate(1, **options)

        def run(x):
            return ops.sum(layer(*(given | {of: x}).values())), None

        return ops.convert_to_numpy(value_and_gradient(run, given[of])[1])

    gate = ops.convert_to_numpy(AttentionGate(1)(fine, COARSE, return_attention=True)[1])
    np.testing.assert_array_equal(gradient("fine"), np.broadcast_to(gate, fine.shape))
    assert not gradient("coarse", mode="hard").any()
    assert not gradient("coarse", mode="soft").any()
    of_soft = gradient("coarse", mode="soft", stop_gradient=False)
    assert of_soft[..., 1].any() and not of_soft[..., [0, 2]].any()


def test_channels_first_is_the_same(fine):
    last = ops.convert_to_numpy(AttentionGate(1, "soft")(fine, COARSE))
    layer = AttentionGate(1, "soft", data_format="channels_first")
    first, gate = layer(
        fine.transpose(0, 3, 1, 2), COARSE.transpose(0, 3, 1, 2), return_attention=True
    )
    np.testing.assert_allclose(ops.convert_to_numpy(first).transpose(0, 2, 3, 1), last, atol=1e-6)
    assert gate.shape == (1, 1, 4, 4)


def test_in_a_model_of_any_size(tmp_path):
    image = keras.Input((None, None, 3))
    coarse = keras.layers.Conv2D(3, 2, strides=2, activation="softmax")(image)
    fine, gate = AttentionGate([0, 1], name="gate")(image, coarse, return_attention=True)
    model = keras.Model(image, [fine, gate])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert layers.attention_form(loaded.get_layer("gate")) == "place_gate"
    for size in ((6, 4), (9, 5)):
        x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
        for found, expected in zip(loaded(x), model(x), strict=True):
            np.testing.assert_array_equal(
                ops.convert_to_numpy(found), ops.convert_to_numpy(expected)
            )
        assert expected.shape == (2, *size, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: AttentionGate(-1), "`classes` must be an integer of at least 0"),
        (lambda x: AttentionGate([]), "`classes` must hold a class"),
        (lambda x: AttentionGate(0, "gate"), "`mode` must be one of 'hard', 'soft'"),
        (lambda x: AttentionGate(3)(x, COARSE), "of the coarse map, 0 to 2. .* classes=.3."),
        (lambda x: AttentionGate(0)(x, COARSE[0]), "`coarse` must have four axes"),
    ],
)
def test_wrong_arguments(fine, call, message):
    with pytest.raises(ValueError, match=message):
        call(fine)
