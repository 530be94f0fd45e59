"""ClassSpecificResidualAttention against the authors' code."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images, softmax
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import ClassSpecificResidualAttention


def kernel(array):
    return array[:, :, 0, 0].T


@pytest.mark.parametrize("name, temperature", [("", 2.0), ("_max", "max")])
def test_one_head_equals_the_authors(name, temperature):
    layer = ClassSpecificResidualAttention(5, temperatures=(temperature,), residual_weight=0.3)
    parts = {"head1_kernel": ("head.weight", kernel)}
    assert_equals_source(layer, f"class_specific{name}", parts)


def test_four_heads_equal_the_authors():
    layer = ClassSpecificResidualAttention(5, temperatures=(1, 2, 4, "max"), residual_weight=0.2)
    parts = {f"head{i + 1}_kernel": (f"multi_head.{i}.head.weight", kernel) for i in range(4)}
    assert_equals_source(layer, "class_specific_heads", parts)


def test_by_hand():
    layer = ClassSpecificResidualAttention(1, temperatures=(2, "max"), residual_weight=0.5)
    layer.build((None, None, None, 2))
    # A kernel counts by its direction alone: both see the first channel.
    layer.set_weights([np.array([[3.0], [0.0]]), np.array([[0.1], [0.0]])])
    x = np.array([[1.0, 9.0], [4.0, -9.0]], "float32").reshape(1, 1, 2, 2)
    y, attention = layer(x, return_attention=True)
    weights = softmax(np.array([2.0, 8.0]))
    expected = (2.5 + 0.5 * weights @ [1, 4]) + (2.5 + 0.5 * 4)
    np.testing.assert_allclose(np.ravel(y), [expected], rtol=1e-6)
    np.testing.assert_allclose(np.ravel(attention), (weights + [0, 1]) / 2, rtol=1e-5)


@pytest.mark.parametrize("keepdims, shape", [(False, (2, 3)), (True, (2, 1, 1, 3))])
def test_shapes(keepdims, shape):
    layer = ClassSpecificResidualAttention(3, keepdims=keepdims)
    x = random_images((2, 5, 4, 6)).astype("float32")
    assert layer(x).shape == layer.compute_output_shape(x.shape) == shape


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"classes": 0}, "`classes` must be a positive integer.*classes=0"),
        ({"classes": 2, "temperatures": ()}, r"`temperatures` must be one or more.*=\(\)"),
        ({"classes": 2, "temperatures": (1, 0)}, r"`temperatures` must be one or more.*\(1, 0\)"),
        ({"classes": 2, "temperatures": ("min",)}, "`temperatures` must be one or more.*'min'"),
        ({"classes": 2, "temperatures": 1}, "`temperatures` must be one or more.*=1"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClassSpecificResidualAttention(**arguments)
