"""ContextualTransformer against the authors' code, whose CUDA kernel is written in PyTorch."""

import numpy as np
import pytest

from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import ContextualTransformer
from keras_attn.layers.self_attention.local.contextual_transformer import local_sum

PARTS = {
    "static_conv": "key_embed.0",
    "static_bn": "key_embed.1",
    "embed": "embed.0",
    "embed_bn": "embed.1",
    "local": "embed.3",
    "local_gamma": ("embed.4.weight", np.ravel),
    "local_beta": ("embed.4.bias", np.ravel),
    "value": "conv1x1.0",
    "value_bn": "conv1x1.1",
    "dynamic_bn": "bn",
    "reduce": "se.0",
    "reduce_bn": "se.1",
    "select": "se.3",
}


@pytest.mark.parametrize("name, size", [("", 3), ("_5", 5)])
def test_equals_the_authors(name, size):
    layer = ContextualTransformer(kernel_size=size)
    assert_equals_source(layer, f"contextual_transformer{name}", PARTS)


def test_the_local_sum_by_hand():
    """Two sets of weights for four channels: the third has the first's."""
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(1, 3, 5, 4)), rng.normal(size=(1, 3, 5, 2, 9))
    got = np.asarray(local_sum(values, weights, 3))
    padded = np.pad(values[0], ((1, 1), (1, 1), (0, 0)))
    for y in range(3):
        for x in range(5):
            for channel in range(4):
                seen = padded[y : y + 3, x : x + 3, channel].ravel()
                expected = seen @ weights[0, y, x, channel % 2]
                np.testing.assert_allclose(got[0, y, x, channel], expected, rtol=1e-10)


def test_parameters():
    """Of CoTNet-50's first block, 64 channels."""
    layer = ContextualTransformer()
    layer.build((None, None, None, 64))
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    static = 9 * 16 * 64 + 2 * 64
    local = 128 * 32 + 2 * 32 + (32 * 72 + 72) + 2 * 72
    dynamic = 64 * 64 + 2 * 64 + 2 * 64
    mixed = (64 * 32 + 32) + 2 * 32 + (32 * 128 + 128)
    assert trainable == static + local + dynamic + mixed


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"filters": 0}, "`filters` must be a positive integer.*filters=0"),
        ({"kernel_size": 2}, "`kernel_size` must be odd.*kernel_size=2"),
        ({"static_groups": 0}, "`static_groups` must be a positive integer.*=0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ContextualTransformer(**arguments)


@pytest.mark.parametrize("channels, message", [(6, "`groups`.*groups=4"), (12, "divisible by 8")])
def test_channels_that_are_no_groups(channels, message):
    with pytest.raises(ValueError, match=message):
        ContextualTransformer().build((None, None, None, channels))
