"""StripAttention against timm."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import sigmoid
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import StripAttention


def along(kernel):
    """timm's (C, 1, k, 1) or (C, 1, 1, k) as a kernel along a strip, (k, C, 1)."""
    return kernel.reshape(len(kernel), -1).T


PARTS = {
    "rows/kernel": ("conv_h.weight", along),
    "rows/bias": "conv_h.bias",
    "columns/kernel": ("conv_w.weight", along),
    "columns/bias": "conv_w.bias",
}


@pytest.mark.parametrize(
    "name, options",
    [
        ("strip", {}),
        ("strip_bias", {"kernel_size": 5, "use_bias": True}),
        ("strip_pools", {"kernel_size": None}),
    ],
)
def test_equals_timm(name, options):
    assert_equals_source(StripAttention(**options), name, PARTS)


def test_by_hand():
    x = np.array([[1.0, 3.0], [-2.0, 0.0], [5.0, 1.0]], "float32").reshape(1, 3, 2, 1)
    # Means of the rows: 2, -1, 3; of the columns: 4/3 and 4/3.
    expected = x * sigmoid(np.reshape([2.0, -1.0, 3.0], (1, 3, 1, 1)) + 4 / 3)
    np.testing.assert_allclose(StripAttention(kernel_size=None)(x), expected, rtol=1e-6)


@pytest.mark.parametrize("kernel_size, weights", [(3, 2 * 3 * 64), (None, 0)])
def test_parameters(kernel_size, weights):
    layer = StripAttention(kernel_size)
    layer.build((None, None, None, 64))
    assert layer.count_params() == weights


def test_wrong_arguments():
    with pytest.raises(ValueError, match="`kernel_size` must be odd. Received: kernel_size=2"):
        StripAttention(2)
