"""PolarizedSelfAttention against the authors' code."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images, sigmoid
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import PolarizedSelfAttention

PARTS = {
    "channel_query": "conv_q_right",
    "channel_value": "conv_v_right",
    "spatial_query": "conv_q_left",
    "spatial_value": "conv_v_left",
}


def test_parallel_equals_the_authors():
    parts = {**PARTS, "expand": "conv_up"}
    assert_equals_source(PolarizedSelfAttention(), "polarized_parallel", parts)


def test_sequential_equals_the_authors():
    parts = {**PARTS, "reduce": "conv_up.0", "expand": "conv_up.3"}
    parts |= {"ln/gamma": ("conv_up.1.weight", np.ravel), "ln/beta": ("conv_up.1.bias", np.ravel)}
    assert_equals_source(PolarizedSelfAttention("sequential"), "polarized_sequential", parts)


def test_by_hand():
    # All weights 0: the channels' gate is 1/2, the softmax of the 15 places 1/15 each.
    layer = PolarizedSelfAttention(kernel_initializer="zeros")
    x = random_images((1, 3, 5, 4)).astype("float32")
    _, gate = layer(x, return_attention=True)
    np.testing.assert_allclose(gate, np.full(x.shape, 0.5 + sigmoid(1 / 15)), rtol=1e-6)


@pytest.mark.parametrize(
    "mode, parameters",
    [
        ("parallel", 64 + 4 * 64 * 32),
        ("sequential", 64 + 3 * 64 * 32 + 32 * 8 + 8 + 16 + 8 * 64 + 64),
    ],
)
def test_parameters(mode, parameters):
    layer = PolarizedSelfAttention(mode)
    layer.build((None, None, None, 64))
    assert layer.count_params() == parameters


def test_wrong_mode():
    with pytest.raises(ValueError, match="`mode` must be one of 'parallel', 'sequential'.*'both'"):
        PolarizedSelfAttention("both")


@pytest.mark.parametrize("mode, least", [("parallel", 2), ("sequential", 8)])
def test_too_few_channels(mode, least):
    with pytest.raises(ValueError, match=f"must be at least {least} where mode='{mode}'"):
        PolarizedSelfAttention(mode).build((None, 3, 5, least - 1))
