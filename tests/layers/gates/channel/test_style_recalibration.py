"""StyleRecalibration against the authors' code."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images, sigmoid
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import StyleRecalibration


def test_equals_authors():
    parts = {"kernel": ("cfc", np.asarray), "bn": "bn"}
    assert_equals_source(StyleRecalibration(), "style_recalibration", parts)


def test_by_hand():
    layer = StyleRecalibration(dtype="float64")
    layer.build((None, None, None, 1))
    layer.kernel.assign([[1.0, 2.0]])
    x = np.array([1.0, 3.0, 5.0, 7.0]).reshape(1, 2, 2, 1)
    # The mean is 4, the variance (9 + 1 + 1 + 9) / 3; fresh statistics divide by sqrt(1 + 1e-5).
    z = (4 + 2 * np.sqrt(20 / 3 + 1e-5)) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(layer(x), x * sigmoid(z), rtol=1e-12)


def test_of_a_single_place():
    layer = StyleRecalibration(kernel_initializer="ones")
    y = layer(random_images((3, 1, 1, 5)).astype("float32")).numpy()
    assert np.all(np.isfinite(y)) and y.any()


@pytest.mark.parametrize("channels", [64, 256])
def test_parameters(channels):
    layer = StyleRecalibration()
    layer.build((None, None, None, channels))
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert trainable == 4 * channels
