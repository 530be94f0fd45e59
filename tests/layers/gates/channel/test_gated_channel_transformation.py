"""GatedChannelTransformation against the authors' code."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import GatedChannelTransformation


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_equals_authors(norm):
    parts = {name: (name, np.ravel) for name in ("alpha", "gamma", "beta")}
    assert_equals_source(GatedChannelTransformation(norm), f"gated_channel_{norm}", parts)


def test_by_hand():
    layer = GatedChannelTransformation(epsilon=1e-12)
    layer.build((None, None, None, 2))
    layer.gamma.assign([1.0, -1.0])
    layer.beta.assign([0.0, 0.5])
    x = np.array([[3.0, 0.0], [4.0, 1.0]], "float32").reshape(1, 2, 1, 2)
    # Norms of 5 and 1, their root mean square is sqrt(13).
    gate = 1 + np.tanh([5 / 13**0.5, 0.5 - 1 / 13**0.5])
    np.testing.assert_allclose(layer(x), x * gate, rtol=1e-6)


def test_a_fresh_layer_is_the_identity():
    x = random_images((2, 7, 5, 6)).astype("float32")
    np.testing.assert_array_equal(GatedChannelTransformation()(x), x)


@pytest.mark.parametrize("channels", [64, 256])
def test_parameters(channels):
    layer = GatedChannelTransformation()
    layer.build((None, None, None, channels))
    assert layer.count_params() == 3 * channels


def test_wrong_arguments():
    with pytest.raises(ValueError, match="`norm` must be one of 'l2', 'l1'. Received: norm='l3'"):
        GatedChannelTransformation("l3")
    with pytest.raises(ValueError, match="`epsilon` must be positive. Received: epsilon=0"):
        GatedChannelTransformation(epsilon=0)
