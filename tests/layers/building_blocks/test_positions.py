"""AddCoordinates, CoordConv2D and SinusoidalPositionEncoding2D against NumPy."""

import math

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import conv2d, random_images, random_weights
from keras_attn.layers import AddCoordinates, CoordConv2D, SinusoidalPositionEncoding2D


def with_coordinates(x, with_radius):
    batch, height, width, _ = x.shape
    planes = np.zeros((batch, height, width, 3))
    for i in range(height):
        for j in range(width):
            column = 2 * j / (width - 1) - 1 if width > 1 else 0
            row = 2 * i / (height - 1) - 1 if height > 1 else 0
            planes[:, i, j] = column, row, math.hypot(column, row)
    return np.concatenate([x, planes[..., : 3 if with_radius else 2]], axis=3)


@pytest.mark.parametrize("with_radius", [False, True])
@pytest.mark.parametrize("size", [(7, 5), (1, 3), (1, 1)])
def test_coordinates_equal_numpy(size, with_radius):
    x = random_images((2, *size, 3))
    layer = AddCoordinates(with_radius, dtype="float64")
    assert_close(layer(x).numpy(), with_coordinates(x, with_radius), 1e-12)
    first = AddCoordinates(with_radius, data_format="channels_first", dtype="float64")
    y = np.transpose(first(x.transpose(0, 3, 1, 2)), (0, 2, 3, 1))
    assert_close(y, with_coordinates(x, with_radius), 1e-12)


@pytest.mark.parametrize("with_radius", [False, True])
def test_coord_conv_equals_numpy(with_radius):
    shape = (2, 7, 5, 4)
    layer = CoordConv2D(3, 3, with_radius=with_radius, padding="same", dtype="float64")
    weights = random_weights(layer, shape)
    x = random_images(shape)
    named = {f"conv/{name}": value for name, value in weights.items()}
    expected = conv2d(with_coordinates(x, with_radius), named, "conv")
    assert_close(layer(x).numpy(), expected, 1e-12)


def test_coord_conv_can_tell_where():
    """A 1x1 convolution that gives each place its column: no plain one can."""
    layer = CoordConv2D(1, 1)
    layer.build((None, None, None, 1))
    layer.set_weights([np.array([0.0, 1, 0]).reshape(1, 1, 3, 1), np.zeros(1)])
    y = layer(np.zeros((1, 2, 3, 1), "float32"))
    np.testing.assert_array_equal(y[0, ..., 0], [[-1, 0, 1], [-1, 0, 1]])


@pytest.mark.parametrize("with_radius, more", [(False, 2), (True, 3)])
def test_parameters(with_radius, more):
    layer = CoordConv2D(64, 3, with_radius=with_radius)
    layer.build((None, None, None, 32))
    assert layer.count_params() == (32 + more) * 9 * 64 + 64


def test_coordinates_are_exact_under_16_bits():
    x = np.zeros((1, 1, 300, 1), "float32")
    y = AddCoordinates(dtype="mixed_float16")(x)
    line = np.linspace(-1, 1, 300).astype("float16")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(y)[0, 0, :, 1], line)


def encoding_by_loops(height, width, depth, max_wavelength):
    half = depth // 2
    table = np.zeros((height, width, depth))
    for i in range(height):
        for j in range(width):
            for k in range(half // 2):
                wavelength = max_wavelength ** (2 * k / half)
                for position, start in ((i, 0), (j, half)):
                    table[i, j, start + 2 * k] = math.sin(position / wavelength)
                    table[i, j, start + 2 * k + 1] = math.cos(position / wavelength)
    return table


@pytest.mark.parametrize("depth, max_wavelength", [(4, 10000), (12, 10000), (16, 30.0)])
def test_sinusoids_equal_the_loops(depth, max_wavelength):
    x = random_images((2, 7, 5, depth))
    expected = x + encoding_by_loops(7, 5, depth, max_wavelength)
    layer = SinusoidalPositionEncoding2D(max_wavelength, dtype="float64")
    assert_close(layer(x).numpy(), expected, 1e-12)
    first = SinusoidalPositionEncoding2D(
        max_wavelength, data_format="channels_first", dtype="float64"
    )
    y = np.transpose(first(x.transpose(0, 3, 1, 2)), (0, 2, 3, 1))
    assert_close(y, expected, 1e-12)


def test_sinusoids_are_computed_in_float32():
    """Position 3000 has no float16 neighbour as near as its angle needs."""
    x = np.zeros((1, 3001, 1, 4), "float32")
    y = SinusoidalPositionEncoding2D(dtype="mixed_float16")(x)
    assert abs(float(y[0, 3000, 0, 0]) - math.sin(3000)) < 1e-3


@pytest.mark.parametrize("channels", [6, 2, None])
def test_sinusoids_need_four_channels_each(channels):
    with pytest.raises(ValueError, match="input channels must be divisible by 4"):
        SinusoidalPositionEncoding2D().build((None, 7, 5, channels))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="`max_wavelength` must be positive. .*max_wavelength=0"):
        SinusoidalPositionEncoding2D(0)
    with pytest.raises(ValueError, match="`data_format` must be one of"):
        AddCoordinates(data_format="NHWC")
