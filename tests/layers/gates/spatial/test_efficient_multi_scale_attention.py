"""EfficientMultiScaleAttention against the authors' code."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images, sigmoid
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import EfficientMultiScaleAttention


def test_equals_the_authors():
    parts = {"strips": "conv1x1", "conv": "conv3x3"}
    parts |= {"gamma": ("gn.weight", np.ravel), "beta": ("gn.bias", np.ravel)}
    assert_equals_source(EfficientMultiScaleAttention(3), "efficient_multi_scale_attention", parts)


def test_by_hand():
    # The convolutions give 0 and 1: v is 1 everywhere, and u is beta, 0.5, as gamma is 0.
    layer = EfficientMultiScaleAttention(2)
    layer.build((None, None, None, 6))
    values = {"strips/kernel": 0, "strips/bias": 0, "conv/kernel": 0, "conv/bias": 1}
    values |= {"gamma": 0, "beta": 0.5}
    layer.set_weights([np.full(w.shape, values[w.path.split("/", 1)[1]]) for w in layer.weights])
    x = random_images((1, 3, 5, 6)).astype("float32")
    np.testing.assert_allclose(layer(x), x * sigmoid(1.5), rtol=1e-6)


def test_groups_of_one_channel():
    x = random_images((1, 3, 5, 4)).astype("float32")
    assert np.isfinite(EfficientMultiScaleAttention(4)(x)).all()


def test_parameters():
    layer = EfficientMultiScaleAttention(8)
    layer.build((None, None, None, 64))
    assert layer.count_params() == 10 * 64 + 4 * 8


def test_wrong_groups():
    with pytest.raises(ValueError, match="`groups` must be a positive integer.*groups=0"):
        EfficientMultiScaleAttention(0)
    with pytest.raises(ValueError, match="divisible by `groups`.*groups=5"):
        EfficientMultiScaleAttention(5).build((None, None, None, 12))
