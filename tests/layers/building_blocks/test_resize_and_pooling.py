"""Interpolation with aligned corners, Caffe's ceil-mode pooling, and the grouped convolution."""

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from keras_attn.layers import CeilMaxPooling2D, GroupedConv2D, ZeroPaddingShortcut2D
from keras_attn.layers.building_blocks.resize import interpolation_matrix, resize_bilinear


@pytest.mark.parametrize("size_in, size_out", [(7, 14), (14, 7), (5, 5), (2, 9), (1, 4), (4, 1)])
def test_aligned_corners_are_numpys_interpolation(size_in, size_out):
    values = np.random.default_rng(0).normal(size=size_in)
    positions = np.linspace(0, size_in - 1, size_out) if size_out > 1 else np.zeros(1)
    expected = np.interp(positions, np.arange(size_in), values)
    matrix = np.asarray(interpolation_matrix(size_in, size_out, dtype="float64"))
    np.testing.assert_allclose(matrix @ values, expected, atol=1e-12)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("size", [(14, 10), (3, 8), (7, 5), (1, 1)])
def test_half_pixel_centres_are_kerass_resize(size):
    x = np.random.default_rng(1).normal(size=(2, 7, 5, 3)).astype("float32")
    expected = keras.ops.image.resize(x, size, interpolation="bilinear", antialias=False)
    assert_close(np.asarray(resize_bilinear(x, size, align_corners=False)), np.asarray(expected))


def test_resize_keeps_the_corners():
    x = np.random.default_rng(2).normal(size=(1, 3, 4, 2)).astype("float32")
    y = np.asarray(resize_bilinear(x, (7, 9)))
    np.testing.assert_allclose(
        y[0, [0, 0, -1, -1], [0, -1, 0, -1]], x[0, [0, 0, -1, -1], [0, -1, 0, -1]]
    )


def pool_by_loops(x, pool_size, strides):
    """Caffe's rule: ceil((H - k) / s) + 1 windows, those at the end cut off."""
    height, width, channels = x.shape
    rows, columns = (max(-(-(n - pool_size) // strides) + 1, 1) for n in (height, width))
    y = np.empty((rows, columns, channels), x.dtype)
    for i in range(rows):
        for j in range(columns):
            top, left = i * strides, j * strides
            y[i, j] = x[top : top + pool_size, left : left + pool_size].max(axis=(0, 1))
    return y


@pytest.mark.parametrize("size", [(112, 75), (56, 28), (7, 7), (4, 5), (3, 3), (2, 1), (1, 1)])
@pytest.mark.parametrize("pool_size, strides", [(3, 2), (2, 2), (3, 1), (3, 3)])
def test_ceil_pooling(size, pool_size, strides):
    x = np.random.default_rng(3).normal(size=(1, *size, 2)).astype("float32") - 10
    y = CeilMaxPooling2D(pool_size, strides)(x).numpy()
    np.testing.assert_array_equal(y[0], pool_by_loops(x[0], pool_size, strides))


@pytest.mark.parametrize("kwargs", [{"strides": 2}, {"padding": "same", "dilation_rate": 2}, {}])
def test_grouped_convolution_is_the_dense_one_with_a_block_diagonal_kernel(kwargs):
    layer = GroupedConv2D(8, 3, groups=4, **kwargs)
    x = np.random.default_rng(4).normal(size=(2, 7, 9, 12)).astype("float32")
    y = layer(x)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (3, 3, 3, 8)
    dense = np.zeros((3, 3, 12, 8), "float32")
    for group in range(4):
        ins, outs = slice(3 * group, 3 * group + 3), slice(2 * group, 2 * group + 2)
        dense[:, :, ins, outs] = kernel[:, :, :, outs]
    reference = keras.layers.Conv2D(8, 3, **kwargs)
    reference.build(x.shape)
    reference.set_weights([dense, bias])
    assert_close(y.numpy(), reference(x).numpy())


def test_grouped_convolution_equals_kerass():
    x = np.random.default_rng(5).normal(size=(2, 5, 7, 6)).astype("float32")
    ours, keras_own = GroupedConv2D(9, 3, groups=3), keras.layers.Conv2D(9, 3, groups=3)
    ours(x), keras_own(x)
    ours.set_weights(keras_own.get_weights())
    assert_close(ours(x).numpy(), keras_own(x).numpy())


def test_groups_that_do_not_divide():
    with pytest.raises(ValueError, match="filters.*divisible|evenly divisible"):
        GroupedConv2D(7, 3, groups=2)


def test_shortcut_by_hand():
    x = np.arange(12, dtype="float32").reshape(1, 3, 4, 1)
    first = ZeroPaddingShortcut2D(2, strides=2)(x).numpy()
    np.testing.assert_array_equal(first[0, :, :, 0], [[0, 2], [8, 10]])
    mean = ZeroPaddingShortcut2D(2, strides=2, pooling="average")(x).numpy()
    np.testing.assert_array_equal(mean[0, :, :, 0], [[2.5, 4.5], [8.5, 10.5]])
    assert not first[..., 1].any() and not mean[..., 1].any()


def test_shortcut_that_narrows():
    with pytest.raises(ValueError, match="`filters` must not be less than"):
        ZeroPaddingShortcut2D(2).build((None, 4, 4, 3))


@pytest.mark.parametrize("kwargs", [{"pool_size": 0}, {"strides": -1}, {"data_format": "first"}])
def test_wrong_pooling_arguments(kwargs):
    [name] = kwargs
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        CeilMaxPooling2D(**kwargs)
