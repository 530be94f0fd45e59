"""OutlookAttention against timm's code of VOLO."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images, random_weights
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import OutlookAttention, attention_by_place
from keras_attn.layers.self_attention.local.outlook_attention import (
    fold,
    pool_from_the_corner,
    unfold,
)

PARTS = {"value": "v", "attention": "attn", "project": "proj"}


@pytest.mark.parametrize(
    "name, options", [("", {}), ("_strided", {"window_strides": 2, "use_bias": True})]
)
def test_equals_timm(name, options):
    assert_equals_source(OutlookAttention(3, **options), f"outlook_attention{name}", PARTS)


@pytest.mark.parametrize("strides, down, across", [(1, 4, 5), (2, 2, 3), (3, 2, 2)])
def test_windows_by_hand(strides, down, across):
    x = np.arange(20.0).reshape(1, 4, 5, 1)
    windows = np.asarray(unfold(x, 3, strides))
    assert windows.shape == (1, down, across, 9, 1)
    padded = np.pad(x[0, :, :, 0], ((1, 4), (1, 4)))
    for i in range(down):
        for j in range(across):
            seen = padded[i * strides : i * strides + 3, j * strides : j * strides + 3]
            np.testing.assert_array_equal(windows[0, i, j, :, 0], seen.ravel())


@pytest.mark.parametrize("strides", [1, 2, 3])
def test_fold_is_the_transpose_of_unfold(strides):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 4, 5, 3))
    windows = np.asarray(unfold(x, 3, strides))
    other = rng.normal(size=windows.shape)
    folded = np.asarray(fold(other, 3, strides, (4, 5)))
    np.testing.assert_allclose(np.sum(folded * x), np.sum(windows * other), rtol=1e-10)


def test_means_of_what_is_left():
    x = np.arange(15.0).reshape(1, 3, 5, 1)
    got = np.asarray(pool_from_the_corner(x, 2))[0, :, :, 0]
    np.testing.assert_allclose(got, [[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]])


def test_what_one_place_pays():
    layer = OutlookAttention(2, window_strides=2)
    random_weights(layer, (1, 5, 3, 4))
    y, attention = layer(random_images((2, 5, 3, 4)).astype("float32"), return_attention=True)
    paid = np.asarray(attention_by_place(layer, attention, y.shape, (2, 0)))
    # The middle of the window (1, 0), and of no other.
    window = np.asarray(attention).mean(1)[:, 1, 0, 4].reshape(2, 3, 3)
    np.testing.assert_allclose(paid[:, 1:4, :2], window[:, :, 1:], rtol=1e-6)
    assert not paid[:, [0, 4]].any() and not paid[:, :, 2].any()


def test_parameters():
    """VOLO-D1's: 192 channels and 6 heads."""
    layer = OutlookAttention(window_strides=2)
    layer.build((None, None, None, 192))
    assert layer.count_params() == 192 * 192 + (192 * 486 + 486) + (192 * 192 + 192)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_heads": 0}, "`num_heads` must be a positive integer.*num_heads=0"),
        ({"value_depth": 8}, "`value_depth` must be divisible by `num_heads`.*value_depth=8"),
        ({"kernel_size": 2}, "`kernel_size` must be odd.*kernel_size=2"),
        ({"window_strides": 0}, "`window_strides` must be a positive integer.*=0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        OutlookAttention(**arguments)
