"""NonLocal2D against NumPy and timm, and its symmetries."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import (
    batch_norm,
    dense,
    random_images,
    random_weights,
    relu,
    softmax,
)
from helpers.oracles.reference_outputs import load_source, set_from_source
from keras_attn.layers import NonLocal2D

MODES = ["gaussian", "embedded_gaussian", "dot_product", "concatenation"]


def max_pool(x):
    """2x2, its last window over the edge on odd sides."""
    _, height, width, _ = x.shape
    rows = [
        np.stack([x[:, i : i + 2, j : j + 2].max((1, 2)) for j in range(0, width, 2)], axis=1)
        for i in range(0, height, 2)
    ]
    return np.stack(rows, axis=1)


def places(x):
    return x.reshape(len(x), -1, x.shape[-1])


def forward(x, weights, mode, sub_sample, scale):
    theta, phi = x, x
    if mode != "gaussian":
        theta, phi = dense(x, weights, "theta"), dense(x, weights, "phi")
    g = dense(x, weights, "g")
    if sub_sample:
        phi, g = max_pool(phi), max_pool(g)
    theta, phi, g = places(theta), places(phi), places(g)
    if mode == "concatenation":
        both = (theta @ weights["theta_weight/kernel"])[:, :, 0][:, :, None]
        f = relu(both + (phi @ weights["phi_weight/kernel"])[:, :, 0][:, None, :])
    else:
        f = np.einsum("bmd,bkd->bmk", theta, phi)
    f = softmax(f) if mode.endswith("gaussian") else f / f.shape[-1]
    z = dense(np.reshape(f @ g, (*x.shape[:3], -1)), weights, "z")
    if scale == "batch_norm":
        z = batch_norm(z, weights, "bn")
    elif scale == "scalar":
        z = z * weights["gamma"]
    return z + x, f[:, None]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "sub_sample, scale", [(False, "batch_norm"), (True, "scalar"), (True, "none")]
)
def test_equals_numpy(mode, sub_sample, scale):
    shape = (2, 5, 4, 6)
    layer = NonLocal2D(mode=mode, sub_sample=sub_sample, scale=scale, dtype="float64")
    weights = random_weights(layer, shape)
    x = random_images(shape)
    for got, expected in zip(
        layer(x, return_attention=True),
        forward(x, weights, mode, sub_sample, scale),
        strict=True,
    ):
        assert_close(got.numpy(), expected, 1e-10)


def test_equals_timm():
    state, x, expected = load_source("timm", "non_local")
    layer = NonLocal2D()
    parts = {"theta": "t", "phi": "p", "g": "g", "z": "z", "bn": "norm"}
    set_from_source(layer, x.shape, state, parts)
    assert_close(layer(x).numpy(), expected)


def test_dot_product_by_hand():
    # W_z, g and both embeddings are 1: y_i is x_i mean(x_j^2).
    layer = NonLocal2D(1, mode="dot_product", use_bias=False, scale="none")
    layer.build((None, None, None, 1))
    layer.set_weights([np.ones((1, 1))] * 4)
    x = np.array([1.0, 2.0, -3.0], "float32").reshape(1, 1, 3, 1)
    np.testing.assert_allclose(np.ravel(layer(x)), np.ravel(x) * (1 + 14 / 3), rtol=1e-6)


def test_batch_of_as_many_images_as_places():
    """TensorFlow's BiasAdd must not take one key an image, (B, 1, 1), for a bias of the queries."""
    layer = NonLocal2D(mode="concatenation", sub_sample=True)
    random_weights(layer, (2, 2, 1, 6))
    x = random_images((2, 2, 1, 6)).astype("float32")
    assert_close(layer(x).numpy()[:1], layer(x[:1]).numpy())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", ["batch_norm", "scalar", "none"])
def test_fresh_block_is_the_identity(mode, scale):
    x = random_images((2, 5, 3, 16)).astype("float32")
    np.testing.assert_array_equal(NonLocal2D(mode=mode, scale=scale)(x), x)


def test_permutation_equivariant():
    layer = NonLocal2D(scale="none")
    random_weights(layer, (1, 5, 3, 6))
    x = random_images((1, 15, 6)).astype("float32")
    order = np.random.default_rng(9).permutation(15)
    straight = np.reshape(layer(x.reshape(1, 5, 3, 6)), (1, 15, 6))
    permuted = np.reshape(layer(x[:, order].reshape(1, 5, 3, 6)), (1, 15, 6))
    assert_close(permuted, straight[:, order])


def test_parameters():
    layer = NonLocal2D()
    layer.build((None, None, None, 1024))
    c, h = 1024, 512
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert trainable == 3 * (c * h + h) + (h * c + c) + 2 * c


def test_sagans_form():
    layer = NonLocal2D(8, value_ratio=2, scale="scalar", use_bias=False)
    layer.build((None, None, None, 64))
    assert layer.theta.kernel.shape == (64, 8)
    assert layer.g.kernel.shape == (64, 32)
    assert layer.z.kernel.shape == (32, 64)
    assert layer.gamma.shape == () and float(layer.gamma) == 0


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (
            {"mode": "softmax"},
            "`mode` must be one of 'gaussian', 'embedded_gaussian', 'dot_product', "
            "'concatenation'. Received: mode='softmax'",
        ),
        ({"scale": None}, "`scale` must be one of 'batch_norm', 'scalar', 'none'"),
        ({"ratio": 0}, "`ratio` must be a positive integer. Received: ratio=0"),
        ({"value_ratio": 0}, "`value_ratio` must be a positive integer"),
        ({"intermediate_filters": 0}, "`intermediate_filters` must be a positive integer"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        NonLocal2D(**kwargs)
    assert message in str(error.value)


def test_bottleneck_of_no_channels():
    with pytest.raises(ValueError, match="`ratio` must not be greater .* ratio=8, channels=7"):
        NonLocal2D(8).build((None, 7, 7, 7))
    with pytest.raises(ValueError, match="`value_ratio` must not be greater .* value_ratio=8"):
        NonLocal2D(value_ratio=8).build((None, 7, 7, 7))
