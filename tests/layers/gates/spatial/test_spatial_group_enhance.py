"""SpatialGroupEnhance against the authors' code."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images, sigmoid
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import SpatialGroupEnhance


def test_equals_the_authors():
    parts = {"gamma": ("weight", np.ravel), "beta": ("bias", np.ravel)}
    assert_equals_source(SpatialGroupEnhance(3), "spatial_group_enhance", parts)


def test_by_hand():
    layer = SpatialGroupEnhance(1)
    layer.build((None, None, None, 2))
    layer.set_weights([np.array([2.0]), np.array([0.0])])
    # The mean is (2, 1): likenesses 4 and 6, of mean 5 and deviation 2 ** 0.5.
    x = np.array([[2.0, 0.0], [2.0, 2.0]], "float32").reshape(1, 1, 2, 2)
    _, gate = layer(x, return_attention=True)
    expected = sigmoid(np.array([-1, 1]) * 2 / (2**0.5 + 1e-5))
    np.testing.assert_allclose(gate[0, 0], np.stack([expected] * 2, 1), rtol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 5)])
def test_a_constant_map(size):
    """No deviation to divide by, and no gradient of its root: the gate is the shift's."""
    layer = SpatialGroupEnhance(2)
    x = np.full((1, *size, 4), 3.0, "float32")
    np.testing.assert_allclose(layer(x), 3 * sigmoid(1) * np.ones_like(x), rtol=1e-6)


def test_the_groups_are_apart():
    layer = SpatialGroupEnhance(2)
    layer.build((None, None, None, 6))
    layer.gamma.assign([1.0, 1.0])
    x = random_images((1, 3, 5, 6)).astype("float32")
    changed = x.copy()
    changed[..., 4] += random_images((1, 3, 5), seed=2)
    _, gate = layer(x, return_attention=True)
    _, other = layer(changed, return_attention=True)
    np.testing.assert_array_equal(gate[..., :3], other[..., :3])
    assert np.abs(gate[..., 3:] - other[..., 3:]).max() > 1e-3


@pytest.mark.parametrize("groups", [0, True])
def test_wrong_groups(groups):
    with pytest.raises(ValueError, match=f"`groups` must be a positive integer.*groups={groups}"):
        SpatialGroupEnhance(groups)


def test_channels_that_are_no_groups():
    with pytest.raises(ValueError, match="divisible by `groups`.*groups=64.*32"):
        SpatialGroupEnhance().build((None, None, None, 32))
