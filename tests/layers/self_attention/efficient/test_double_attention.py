"""DoubleAttention against the paper's equations in NumPy: its authors published no such code."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import dense, random_images, random_weights, softmax
from keras_attn.layers import DoubleAttention


@pytest.mark.parametrize("shape", [(2, 5, 3, 8), (1, 4, 6, 12)])
def test_equals_numpy(shape):
    layer = DoubleAttention(dtype="float64")
    weights = random_weights(layer, shape)
    x = random_images(shape)
    flat = x.reshape(len(x), -1, shape[-1])
    features = dense(flat, weights, "features")
    gather = softmax(dense(flat, weights, "gather"), axis=1)
    distribute = softmax(dense(flat, weights, "distribute"))
    handed = np.zeros_like(features)
    for b in range(len(x)):
        # Equation 6 as it stands: first the vectors, a column each, then each place's mix.
        vectors = features[b].T @ gather[b]  # (m, n)
        handed[b] = (vectors @ distribute[b].T).T
    expected = dense(handed, weights, "expand").reshape(shape) + x
    y, attention = layer(x, return_attention=True)
    assert_close(y.numpy(), expected, 1e-12)
    assert_close(attention.numpy(), gather.reshape(*shape[:3], -1), 1e-12)


def test_by_hand():
    # No weights but the biases: all gather and all are handed the features' bias, 3.
    layer = DoubleAttention(2)
    layer.build((None, None, None, 2))
    values = {"features/bias": 3.0, "expand/kernel": 5.0}
    layer.set_weights(
        [np.full(w.shape, values.get(w.path.split("/", 1)[1], 0.0)) for w in layer.weights]
    )
    x = random_images((1, 3, 5, 2)).astype("float32")
    np.testing.assert_allclose(layer(x), x + 15, rtol=1e-6)


def test_a_fresh_layer_is_the_identity():
    x = random_images((2, 5, 3, 8)).astype("float32")
    np.testing.assert_array_equal(DoubleAttention()(x), x)


def test_parameters():
    layer = DoubleAttention()
    layer.build((None, None, None, 64))
    assert layer.count_params() == 3 * (64 * 16 + 16) + 16 * 64 + 64


@pytest.mark.parametrize("argument", ["ratio", "feature_channels", "attention_maps"])
def test_wrong_arguments(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be a positive integer. .*=0"):
        DoubleAttention(**{argument: 0})
