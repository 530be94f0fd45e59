"""ShuffleAttention against the authors' code."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images, sigmoid
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import ShuffleAttention


def test_equals_the_authors():
    names = {"channel_scale": "cweight", "channel_shift": "cbias"}
    names |= {"spatial_scale": "sweight", "spatial_shift": "sbias"}
    parts = {ours: (theirs, np.ravel) for ours, theirs in names.items()}
    parts |= {"gamma": ("gn.weight", np.ravel), "beta": ("gn.bias", np.ravel)}
    assert_equals_source(ShuffleAttention(3), "shuffle_attention", parts)


def test_a_fresh_layer_shuffles():
    x = random_images((1, 3, 5, 8)).astype("float32")
    y, gate = ShuffleAttention(2)(x, return_attention=True)
    order = [0, 4, 1, 5, 2, 6, 3, 7]
    np.testing.assert_allclose(y, sigmoid(1) * x[..., order], rtol=1e-6)
    np.testing.assert_allclose(gate, np.full(x.shape, sigmoid(1)), rtol=1e-6)


def test_parameters():
    layer = ShuffleAttention()
    layer.build((None, None, None, 2048))
    assert layer.count_params() == 6 * 2048 // 128


@pytest.mark.parametrize("groups", [0, 1.5])
def test_wrong_groups(groups):
    with pytest.raises(ValueError, match=f"`groups` must be a positive integer.*groups={groups}"):
        ShuffleAttention(groups)


def test_channels_that_are_no_groups():
    with pytest.raises(ValueError, match="divisible by 2 times `groups`.*groups=3.*15"):
        ShuffleAttention(3).build((None, None, None, 15))
