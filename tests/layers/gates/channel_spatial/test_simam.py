"""SimAM against the authors' code."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import sigmoid
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import SimAM


def test_equals_the_authors():
    assert_equals_source(SimAM(), "simam", {})


def test_by_hand():
    x = np.array([1.0, 3.0, 5.0], "float32").reshape(1, 3, 1, 1)
    # The mean is 3, the squares are 4, 0 and 4, over 3 - 1 places: v = 4.
    _, gate = SimAM(regularization=1.0)(x, return_attention=True)
    expected = sigmoid(np.array([4 / 20, 0, 4 / 20]) + 0.5)
    np.testing.assert_allclose(np.ravel(gate), expected, rtol=1e-6)


def test_a_map_of_one_place():
    y = SimAM()(np.full((1, 1, 1, 2), 8.0, "float32"))
    np.testing.assert_allclose(y, np.full((1, 1, 1, 2), 8 * sigmoid(0.5)), rtol=1e-6)


@pytest.mark.parametrize("value", [0, -1e-4, float("nan")])
def test_wrong_regularization(value):
    with pytest.raises(ValueError, match="`regularization` must be positive.*regularization="):
        SimAM(regularization=value)
