"""BilinearAttention against timm, and its matrices written out."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images, random_weights
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import BilinearAttention, attention_by_place
from keras_attn.layers.self_attention.efficient.bilinear_attention import bilinear_transform

LINES = {"rows": "conv_p", "columns": "conv_q"}


def test_equals_timm():
    def product(array):  # (k k G, G, k, 1) or (k k G, G, 1, k)
        return array.reshape(array.shape[0], 2, 2).transpose(2, 1, 0)

    parts = {f"{ours}/bias": f"ba.{theirs}.bias" for ours, theirs in LINES.items()}
    parts |= {f"{ours}/kernel": (f"ba.{theirs}.weight", product) for ours, theirs in LINES.items()}
    theirs = {"reduce": "conv1", "pool": "ba.conv1", "mix": "ba.conv2", "expand": "conv2"}
    for ours, module in theirs.items():
        parts |= {ours: f"{module}.conv", f"{ours}_bn": f"{module}.bn"}
    assert_equals_source(BilinearAttention(2, block_number=2), "bilinear_attention", parts)


def test_the_matrices_written_out():
    """P X Q, P being each weight times an identity of the block's side."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6, 9, 4))
    p, q = rng.normal(size=(2, 2, 2, 3, 3))
    got = bilinear_transform(x, p, q)
    for image in (0, 1):
        for channel in range(4):
            group = channel // 2
            left = np.kron(p[image, group], np.eye(2))
            right = np.kron(q[image, group], np.eye(3))
            expected = left @ x[image, :, :, channel] @ right
            np.testing.assert_allclose(got[image, :, :, channel], expected, rtol=1e-10)


def test_what_a_block_pays():
    layer = BilinearAttention(2, block_number=2)
    random_weights(layer, (1, 4, 6, 8))
    x = random_images((2, 4, 6, 8)).astype("float32")
    y, attention = layer(x, return_attention=True)
    np.testing.assert_allclose(np.sum(attention, -1), np.ones((2, 2, 4)), rtol=1e-6)
    paid = attention_by_place(layer, attention, y.shape, (1, 0))
    expected = np.mean(attention[:, :, 2], axis=1).reshape(2, 2, 2)
    np.testing.assert_allclose(paid, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="`query` must be a place within"):
        attention_by_place(layer, attention, y.shape, (2, 0))


def test_whole_channels_are_dropped():
    layer = BilinearAttention(1, block_number=1, groups=1, dropout=0.5)
    random_weights(layer, (1, 3, 5, 8))
    x = random_images((4, 3, 5, 8)).astype("float32")
    added = np.abs(np.subtract(layer(x, training=True), x)).max((1, 2))
    in_inference = np.abs(np.subtract(layer(x), x)).max((1, 2))
    assert (added == 0).mean() > (in_inference == 0).mean()


def test_parameters():
    layer = BilinearAttention()
    layer.build((None, 14, 14, 64))
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    projections = 64 * 16 + 2 * 16 + 16 * 2 + 2 * 2 + 16 * 16 + 2 * 16 + 16 * 64 + 2 * 64
    assert trainable == projections + 2 * (7 * 2 * 98 + 98)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"ratio": 0}, "`ratio` must be a positive integer.*ratio=0"),
        ({"block_number": 0}, "`block_number` must be a positive integer.*block_number=0"),
        ({"groups": 0}, "`groups` must be a positive integer.*groups=0"),
        ({"dropout": 1}, "`dropout` must be at least 0 and less than 1.*dropout=1"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        BilinearAttention(**arguments)


def test_maps_that_are_no_blocks():
    message = "`block_number` must divide the input's height and width.*block_number=7"
    with pytest.raises(ValueError, match=message):
        BilinearAttention().build((None, 14, 8, 16))
    layer = BilinearAttention()
    layer.build((None, None, None, 16))
    with pytest.raises(ValueError, match=message):
        layer(np.zeros((1, 6, 7, 16), "float32"))
