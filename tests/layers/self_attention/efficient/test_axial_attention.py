"""AxialAttention against the authors' code, and without positions against NumPy."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import batch_norm, random_images, random_weights, softmax
from helpers.oracles.reference_outputs import TORCH_NAMES, assert_equals_source
from keras_attn.layers import AxialAttention, attention_by_place


def tables(array):
    """Theirs has offsets from key to query for r^q and r^v, and both tables' other axis first."""
    rows = array.T.copy()  # (2 L - 1, 2 v): r^q and r^k have 2 columns, r^v has 4
    rows[:, :2], rows[:, 4:] = rows[::-1, :2], rows[::-1, 4:]
    return rows


def one_term_behind_the_other(array):
    """Theirs has both terms of a channel side by side."""
    return array.reshape(-1, 2).T


@pytest.mark.parametrize("axis", ["height", "width"])
def test_equals_the_authors(axis):
    parts = {
        f"{axis}_qkv": "qkv_transform",
        f"{axis}_qkv_bn": "bn_qkv",
        f"{axis}_logit_bn": "bn_similarity",
        f"{axis}_relative": ("relative", tables),
    }
    for ours in ("gamma", "beta", "moving_mean", "moving_variance"):
        theirs = f"bn_output.{TORCH_NAMES[ours]}"
        parts[f"{axis}_output_bn/{ours}"] = (theirs, one_term_behind_the_other)
    layer = AxialAttention(8, num_heads=2, along=axis, table_size=(7, 5))
    assert_equals_source(layer, f"axial_attention_{axis}", parts)


def test_without_positions_equals_numpy():
    shape = (2, 3, 5, 6)
    layer = AxialAttention(8, num_heads=2, along="width", relative=False, dtype="float64")
    weights = random_weights(layer, shape)
    x = random_images(shape)
    qkv = batch_norm(x @ weights["width_qkv/kernel"], weights, "width_qkv_bn")
    expected, maps = np.zeros((2, 3, 5, 8)), np.zeros((2, 2, 3, 5, 5))
    for head in (0, 1):
        mine = qkv[..., 8 * head : 8 * head + 8]
        q, k, v = mine[..., :2], mine[..., 2:4], mine[..., 4:]
        logits = np.einsum("bhwc,bhkc->bhwk", q, k)
        both = np.stack([logits] * 2, axis=-1)  # a BatchNormalization's number for each head
        logits = batch_norm(both, weights, "width_logit_bn")[..., head]
        maps[:, head] = softmax(logits)
        expected[..., 4 * head : 4 * head + 4] = maps[:, head] @ v
    y, attention = layer(x, return_attention=True)
    assert_close(attention.numpy(), maps, 1e-10)
    assert_close(y.numpy(), batch_norm(expected, weights, "width_output_bn"), 1e-10)


def test_both_axes_are_one_behind_the_other():
    options = {"num_heads": 2, "dtype": "float64"}
    shape = (2, 3, 5, 8)
    both = AxialAttention(**options)
    random_weights(both, shape)
    values = {w.path.split("/", 1)[1]: w.numpy() for w in both.weights}
    x = random_images(shape)
    expected = x
    for axis in ("height", "width"):
        one = AxialAttention(along=axis, **options)
        one.build(shape)
        one.set_weights([values[w.path.split("/", 1)[1]] for w in one.weights])
        expected = one(expected)
    assert_close(both(x).numpy(), expected.numpy(), 1e-12)


@pytest.mark.parametrize("relative", [True, False])
def test_what_a_place_has_seen(relative):
    layer = AxialAttention(num_heads=2, along="height", relative=relative, dtype="float64")
    random_weights(layer, (1, 4, 5, 8))
    x = random_images((1, 4, 5, 8))
    changed = x.copy()
    changed[0, 1, 2] += 1
    moved = np.abs(np.subtract(layer(x), layer(changed))).max((0, 3)) > 1e-13
    expected = np.zeros((4, 5), bool)
    expected[:, 2] = True
    np.testing.assert_array_equal(moved, expected)


def test_what_one_place_pays():
    layer = AxialAttention(num_heads=2)
    random_weights(layer, (1, 4, 5, 8))
    y, attention = layer(random_images((2, 4, 5, 8)).astype("float32"), return_attention=True)
    paid = np.asarray(attention_by_place(layer, attention, y.shape, (3, 1)))
    by_row = np.asarray(attention).mean(1)[:, 3, 1, 4:]
    by_column = np.asarray(attention).mean(1)[:, 3, :, :4]
    np.testing.assert_allclose(paid, (by_row[:, :, None] * by_column).swapaxes(1, 2), rtol=1e-5)
    np.testing.assert_allclose(paid.sum((1, 2)), 1, rtol=1e-5)


def test_parameters():
    """An axis of Axial-DeepLab's first block: 64 channels, 8 heads, 56 places."""
    layer = AxialAttention(along="height")
    layer.build((None, 56, 56, 64))
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert trainable == 64 * 128 + 2 * 128 + 2 * 24 + 2 * 128 + 111 * 16


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_heads": 0}, "`num_heads` must be a positive integer.*num_heads=0"),
        ({"value_depth": 24}, r"`value_depth` must be divisible by `2 \* num_heads`.*=24"),
        ({"along": "depth"}, "`along` must be one of 'height', 'width', 'both'.*'depth'"),
        ({"table_size": 0}, "`table_size` must be a positive integer.*table_size=0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AxialAttention(**arguments)


def test_a_table_of_unknown_size():
    with pytest.raises(ValueError, match="`table_size` must be given.*unknown at build"):
        AxialAttention().build((None, None, 5, 16))
