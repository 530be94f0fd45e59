"""SelfAttention2D against a loop over positions in float64, and its symmetries."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.layer_contract import assert_close
from helpers.oracles.attention_loops import attend_by_loops
from keras_attn.layers import SelfAttention2D, stretch_relative_table
from keras_attn.layers.self_attention.relative_positions import relative_logits, relative_positions
from keras_attn.layers.self_attention.self_attention_2d import split_heads


def make(size, dtype="float64", **kwargs):
    arguments = {"num_heads": 2, "key_depth": 6, "value_depth": 10, **kwargs}
    layer = SelfAttention2D(dtype=dtype, **arguments)
    layer.build((None, *size, 7))
    rng = np.random.default_rng(3)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    return layer


@pytest.mark.parametrize("size", [(5, 3), (2, 7), (1, 4), (1, 1)])
def test_equals_the_loops(size):
    layer = make(size)
    x = np.random.default_rng(4).normal(size=(2, *size, 7))
    output, attention = layer(x, return_attention=True)
    expected, expected_map = attend_by_loops(x, layer.get_weights(), 2, 6, 10)
    assert_close(output.numpy(), expected, 1e-12)
    assert_close(attention.numpy(), expected_map, 1e-12)


def test_offsets_beyond_the_tables_take_the_edge_rows():
    layer = make((2, 3))
    x = np.random.default_rng(5).normal(size=(1, 5, 7, 7))
    expected, _ = attend_by_loops(x, layer.get_weights(), 2, 6, 10)
    assert_close(layer(x).numpy(), expected, 1e-12)


def test_smaller_maps_use_the_middle_of_the_tables():
    layer = make((5, 7))
    x = np.random.default_rng(6).normal(size=(1, 3, 2, 7))
    expected, _ = attend_by_loops(x, layer.get_weights(), 2, 6, 10)
    assert_close(layer(x).numpy(), expected, 1e-12)


def test_gradients_equal_the_loops():
    """Every gradient, the inputs' and the tables' too, against central differences of the loops."""
    size = (3, 2)
    layer = make(size)
    rng = np.random.default_rng(7)
    x = rng.normal(size=(1, *size, 7))
    direction = rng.normal(size=(1, *size, 10))
    variables = [tf.Variable(x), *[w.value for w in layer.weights]]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(variables[0]) * direction)
    gradients = [g.numpy() for g in tape.gradient(loss, variables)]

    arrays = [x, *layer.get_weights()]

    def loss_by_loops():
        return float((attend_by_loops(arrays[0], arrays[1:], 2, 6, 10)[0] * direction).sum())

    for array, gradient in zip(arrays, gradients, strict=True):
        for index in rng.choice(array.size, size=min(array.size, 12), replace=False):
            place = np.unravel_index(index, array.shape)
            kept, step = array[place], 1e-5
            array[place] = kept + step
            up = loss_by_loops()
            array[place] = kept - step
            down = loss_by_loops()
            array[place] = kept
            assert abs((up - down) / (2 * step) - gradient[place]) < 1e-6 * max(
                1, np.abs(gradient).max()
            )


def test_softmax_does_not_see_a_keys_bias():
    """Its gradient is zero but for the positions' share, which it has none of."""
    layer = make((3, 2))
    x = tf.constant(np.random.default_rng(8).normal(size=(2, 3, 2, 7)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    gradient = tape.gradient(loss, layer.kqv_bias.value).numpy()
    assert np.abs(gradient[:6]).max() < 1e-12 * np.abs(gradient).max()  # keys
    assert np.abs(gradient[6:]).min() > 0  # queries and values


def test_permutation_equivariant_without_positions():
    layer = SelfAttention2D(num_heads=2, key_depth=6, value_depth=4, relative=False)
    rng = np.random.default_rng(9)
    x = rng.normal(size=(1, 15, 5)).astype("float32")
    order = rng.permutation(15)
    straight = np.reshape(layer(x.reshape(1, 5, 3, 5)), (1, 15, 4))
    permuted = np.reshape(layer(x[:, order].reshape(1, 5, 3, 5)), (1, 15, 4))
    assert_close(permuted, straight[:, order])


def test_not_permutation_equivariant_with_positions():
    layer = SelfAttention2D(num_heads=2, key_depth=6, value_depth=4)
    rng = np.random.default_rng(9)
    x = rng.normal(size=(1, 15, 5)).astype("float32")
    order = rng.permutation(15)
    straight = np.reshape(layer(x.reshape(1, 5, 3, 5)), (1, 15, 4))
    permuted = np.reshape(layer(x[:, order].reshape(1, 5, 3, 5)), (1, 15, 4))
    assert np.abs(permuted - straight[:, order]).max() > 1e-3


def test_relative_logits_are_translation_equivariant():
    """l[i + d, j + d] == l[i, j] where the queries are the same."""
    rng = np.random.default_rng(10)
    height, width, depth = 5, 7, 3
    q = np.broadcast_to(rng.normal(size=depth), (1, 1, height, width, depth))
    tables = rng.normal(size=(2 * width - 1, depth)), rng.normal(size=(2 * height - 1, depth))
    s_w, s_h = (np.asarray(s)[0, 0] for s in relative_logits(*map(tf.constant, (q, *tables))))
    np.testing.assert_allclose(s_w[:, 1:, 1:], s_w[:, :-1, :-1], rtol=1e-12)
    np.testing.assert_allclose(s_h[1:, :, 1:], s_h[:-1, :, :-1], rtol=1e-12)
    np.testing.assert_allclose(s_w[0, 2, 5], q[0, 0, 0, 2] @ tables[0][5 - 2 + width - 1])


def test_relative_positions_by_hand():
    table = np.arange(5.0)[:, None]  # L = 3: rows of the offsets -2 to 2
    laid_out = np.asarray(relative_positions(tf.constant(table), 3))[..., 0]
    np.testing.assert_array_equal(laid_out, [[2, 3, 4], [1, 2, 3], [0, 1, 2]])


def test_head_is_the_slow_part_of_the_channels():
    x = np.arange(6.0).reshape(1, 1, 1, 6)
    np.testing.assert_array_equal(np.reshape(split_heads(x, 2), (2, 3)), [[0, 1, 2], [3, 4, 5]])


def test_tables_start_with_the_appendixs_deviation():
    keras.utils.set_random_seed(0)
    layer = SelfAttention2D(num_heads=4, key_depth=64, value_depth=4)
    layer.build((None, 64, 48, 3))
    assert layer.relative_width.shape == (95, 16)
    assert layer.relative_height.shape == (127, 16)
    for table in (layer.relative_width, layer.relative_height):
        assert abs(float(np.std(table)) - 16**-0.5) < 0.02
    assert not np.array_equal(layer.relative_width[:95], layer.relative_height[:95])


def test_stretched_table_serves_the_larger_map():
    small = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]])
    stretched = np.asarray(stretch_relative_table(small, 5))
    np.testing.assert_allclose(stretched[:, 0], np.arange(-4, 5) / 2)
    np.testing.assert_array_equal(stretch_relative_table(small, 3), small)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"num_heads": 0}, "`num_heads` must be a positive integer. Received: num_heads=0"),
        (
            {"key_depth": 7},
            "`key_depth` must be divisible by `num_heads`. Received: key_depth=7, num_heads=2",
        ),
        ({"value_depth": 5}, "`value_depth` must be divisible by `num_heads`"),
        ({"value_depth": 0}, "`value_depth` must be a positive integer"),
        ({"table_size": (3, 0)}, "`table_size` must be a positive integer"),
        ({"table_size": (1, 2, 3)}, "`table_size` must be a positive integer or two of them"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        SelfAttention2D(**{"num_heads": 2, "key_depth": 6, "value_depth": 4, **kwargs})
    assert message in str(error.value)


def test_unknown_size_needs_a_table_size():
    layer = SelfAttention2D(num_heads=2, key_depth=6, value_depth=4)
    with pytest.raises(ValueError, match="`table_size` must be given where"):
        layer.build((None, None, 7, 3))


@pytest.mark.parametrize("table", [np.ones((4, 3)), np.ones(5)])
def test_wrong_table_to_stretch(table):
    with pytest.raises(ValueError, match="`table` must have the shape"):
        stretch_relative_table(table, 3)
