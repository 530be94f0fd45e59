"""EffectiveSE against timm."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import EffectiveSE


def test_equals_timm():
    assert_equals_source(EffectiveSE(), "effective_se", {"project": "fc"})


def test_by_hand():
    layer = EffectiveSE()
    layer.build((None, None, None, 2))
    layer.set_weights([np.array([[2.0, 0.0], [1.0, 0.0]]), np.array([0.5, -9.0])])
    x = np.array([[1.0, 2.0], [3.0, 0.0]], "float32").reshape(1, 2, 1, 2)
    # The means are 2 and 1, so the logits 5.5 and -9: the first gate is 1, the second 0.
    y, gate = layer(x, return_attention=True)
    assert np.ravel(gate).tolist() == [1.0, 0.0]
    assert y.numpy()[0, :, 0].tolist() == [[1.0, 0.0], [3.0, 0.0]]


def test_the_papers_sigmoid():
    layer = EffectiveSE(gate_activation="sigmoid", kernel_initializer="zeros")
    x = random_images((1, 3, 5, 4)).astype("float32")
    np.testing.assert_allclose(layer(x), x / 2, rtol=1e-6)


@pytest.mark.parametrize("channels", [64, 256])
def test_parameters(channels):
    layer = EffectiveSE()
    layer.build((None, None, None, channels))
    assert layer.count_params() == channels**2 + channels


def test_wrong_activation():
    with pytest.raises(ValueError, match="Could not interpret activation"):
        EffectiveSE(gate_activation="steps")
