"""EfficientLocalAttention against timm and NumPy."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import random_images, random_weights, sigmoid
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import EfficientLocalAttention


def along(kernel):
    """timm's (C, 1, k, 1) or (C, 1, 1, k) as a kernel along a strip, (k, C, 1)."""
    return kernel.reshape(len(kernel), -1).T


PARTS = {
    "rows/kernel": ("conv_h.weight", along),
    "rows/bias": "conv_h.bias",
    "rows_norm": "norm_h",
    "columns/kernel": ("conv_w.weight", along),
    "columns/bias": "conv_w.bias",
    "columns_norm": "norm_w",
}


@pytest.mark.parametrize(
    "name, options",
    [("efficient_local", {}), ("efficient_local_bias", {"kernel_size": 3, "use_bias": True})],
)
def test_equals_timm(name, options):
    assert_equals_source(EfficientLocalAttention(**options), name, PARTS)


def test_groups_against_numpy():
    """The form of the copies: groups of channels, and no activation."""
    shape = (2, 7, 5, 6)
    options = {"kernel_size": 3, "normalization_groups": 2, "activation": None}
    layer = EfficientLocalAttention(**options, dtype="float64")
    weights = random_weights(layer, shape)
    x = random_images(shape)

    def gate(means, name):
        padded = np.pad(means, ((0, 0), (1, 1), (0, 0)))
        kernel = weights[f"{name}/kernel"][..., 0]  # (3, C)
        z = sum(padded[:, i : i + means.shape[1]] * kernel[i] for i in range(3))
        groups = z.reshape(2, -1, 2, 3)
        centred = groups - groups.mean((1, 3), keepdims=True)
        z = (centred / np.sqrt(groups.var((1, 3), keepdims=True) + 1e-5)).reshape(z.shape)
        return sigmoid(z * weights[f"{name}_norm/gamma"] + weights[f"{name}_norm/beta"])

    expected = x * gate(x.mean(2), "rows")[:, :, None] * gate(x.mean(1), "columns")[:, None]
    assert_close(layer(x).numpy(), expected, 1e-12)


@pytest.mark.parametrize("channels, kernel_size", [(64, 7), (256, 5)])
def test_parameters(channels, kernel_size):
    layer = EfficientLocalAttention(kernel_size)
    layer.build((None, None, None, channels))
    assert layer.count_params() == 2 * (kernel_size + 2) * channels


def test_wrong_arguments():
    with pytest.raises(ValueError, match="`kernel_size` must be odd. Received: kernel_size=4"):
        EfficientLocalAttention(4)
    layer = EfficientLocalAttention(normalization_groups=16)
    with pytest.raises(ValueError, match="divisible by `normalization_groups`. .*=16"):
        layer.build((None, None, None, 24))
