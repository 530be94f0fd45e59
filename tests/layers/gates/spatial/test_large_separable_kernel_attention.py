"""LargeSeparableKernelAttention against the authors' code."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import LargeSeparableKernelAttention

PARTS = {
    "near_row": "conv0h",
    "near_column": "conv0v",
    "far_row": "conv_spatial_h",
    "far_column": "conv_spatial_v",
    "project": "conv1",
}


@pytest.mark.parametrize("size, rate", [(7, 2), (23, 3)])
def test_equals_the_authors(size, rate):
    layer = LargeSeparableKernelAttention(size, dilation_rate=rate)
    assert_equals_source(layer, f"large_separable_kernel_{size}", PARTS)


# The authors' sizes: dilation, and the strips near and far.
@pytest.mark.parametrize(
    "size, rate, near, far",
    [(7, 2, 3, 3), (11, 2, 3, 5), (23, 3, 5, 7), (35, 3, 5, 11), (41, 3, 5, 13), (53, 3, 5, 17)],
)
def test_the_authors_sizes(size, rate, near, far):
    layer = LargeSeparableKernelAttention(size, dilation_rate=rate)
    layer.build((None, None, None, 6))
    assert [strip.kernel_size for strip in layer.strips] == [
        (1, near),
        (near, 1),
        (1, far),
        (far, 1),
    ]
    assert layer.count_params() == 6 * (2 * near + 2 * far + 4) + 6 * 6 + 6


def test_how_far_it_sees():
    """Ones as kernels count: a place is seen from 1 + (near - 1) / 2 + rate (far - 1) / 2 away."""
    layer = LargeSeparableKernelAttention(7, dilation_rate=2, kernel_initializer="ones")
    layer.build((1, 9, 9, 1))
    layer.project.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    x = np.zeros((1, 9, 9, 1), "float32")
    x[0, 4, 4] = 1
    _, mask = layer(x, return_attention=True)
    row = [0, 1, 1, 2, 1, 2, 1, 1, 0]
    np.testing.assert_array_equal(mask[0, :, :, 0], np.outer(row, row))


def test_a_fresh_layer_is_the_identity():
    x = random_images((2, 5, 3, 4)).astype("float32")
    np.testing.assert_array_equal(LargeSeparableKernelAttention()(x), x)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"kernel_size": 0}, "`kernel_size` must be a positive integer.*kernel_size=0"),
        ({"dilation_rate": 0}, "`dilation_rate` must be a positive integer.*dilation_rate=0"),
        ({"kernel_size": 8, "dilation_rate": 2}, "`kernel_size // dilation_rate` must be odd.*=4"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LargeSeparableKernelAttention(**arguments)
