"""GlobalResponseNormalization against the authors' code."""

import numpy as np
import pytest
import tensorflow as tf

from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import GlobalResponseNormalization


def test_equals_the_authors():
    parts = {name: (name, np.ravel) for name in ("gamma", "beta")}
    assert_equals_source(GlobalResponseNormalization(), "global_response_normalization", parts)


def test_by_hand():
    layer = GlobalResponseNormalization()
    layer.build((None, None, None, 2))
    layer.set_weights([np.array([2.0, -1.0]), np.array([0.0, 10.0])])
    x = np.array([[3.0, 0.0], [4.0, 15.0]], "float32").reshape(1, 2, 1, 2)
    # The norms are 5 and 15, their mean 10: gates 1 + 2 / 2 and 1 - 3 / 2.
    y, gate = layer(x, return_attention=True)
    np.testing.assert_allclose(np.ravel(gate), [2.0, -0.5], rtol=1e-6)
    np.testing.assert_allclose(y.numpy()[0, :, 0], [[6.0, 10.0], [8.0, 2.5]], rtol=1e-6)


def test_a_channel_of_zeros_has_a_gradient():
    layer = GlobalResponseNormalization()
    layer.build((None, None, None, 3))
    layer.gamma.assign([1.0, 1.0, 1.0])
    x = np.ones((1, 2, 2, 3), "float32")
    x[..., 1] = 0
    x = tf.Variable(x)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x))
    assert np.isfinite(tape.gradient(loss, x)).all()


def test_wrong_epsilon():
    with pytest.raises(ValueError, match="`epsilon` must be positive. Received: epsilon=0"):
        GlobalResponseNormalization(epsilon=0)
