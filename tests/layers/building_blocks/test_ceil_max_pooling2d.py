"""CeilMaxPooling2D where its strides are greater than its windows."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.layers import CeilMaxPooling2D


@pytest.mark.parametrize(
    ("pool_size", "strides", "firsts"),
    [(2, 3, [0, 3]), (1, 4, [0, 4]), (1, 5, [0, 5]), (2, 7, [0]), (3, 2, [0, 2, 4])],
)
def test_windows_begin_on_the_map(pool_size, strides, firsts):
    x = -1.0 - np.random.default_rng(0).uniform(size=(1, 6, 6, 2)).astype("float32")
    layer = CeilMaxPooling2D(pool_size, strides)
    parts = [slice(first, first + pool_size) for first in firsts]
    expected = [[x[0, rows, columns].max((0, 1)) for columns in parts] for rows in parts]
    dynamic = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 2))])
    for outputs in (layer(x), dynamic(x)):
        np.testing.assert_array_equal(outputs, [expected])
    assert layer.compute_output_shape(x.shape) == (1, len(firsts), len(firsts), 2)
