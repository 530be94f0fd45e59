"""ChannelGate, SpatialGate and CBAM against NumPy, the authors' code and timm."""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import (
    batch_norm,
    conv2d,
    dense,
    random_images,
    random_weights,
    relu,
    sigmoid,
)
from helpers.oracles.reference_outputs import load_source, set_from_source
from keras_attn.layers import CBAM, ChannelGate, SpatialGate

SHAPE = (2, 7, 5, 12)


def channel_gate(x, weights, prefix=""):
    def mlp(z):
        return dense(relu(dense(z, weights, f"{prefix}reduce")), weights, f"{prefix}expand")

    return sigmoid(mlp(x.mean((1, 2))) + mlp(x.max((1, 2))))[:, None, None]


def spatial_gate(x, weights, order, prefix=""):
    pair = [x.max(3, keepdims=True), x.mean(3, keepdims=True)]
    pooled = np.concatenate(pair if order == "max_mean" else pair[::-1], axis=3)
    return sigmoid(batch_norm(conv2d(pooled, weights, f"{prefix}conv"), weights, f"{prefix}bn"))


@pytest.mark.parametrize("use_bias", [True, False])
def test_channel_gate_equals_numpy(use_bias):
    layer = ChannelGate(5, use_bias=use_bias, dtype="float64")
    weights = random_weights(layer, SHAPE)
    x = random_images(SHAPE)
    y, gate = layer(x, return_attention=True)
    assert_close(gate.numpy(), channel_gate(x, weights), 1e-12)
    assert_close(y.numpy(), x * channel_gate(x, weights), 1e-12)


@pytest.mark.parametrize("order", ["max_mean", "mean_max"])
@pytest.mark.parametrize("kernel_size", [3, 7])
def test_spatial_gate_equals_numpy(order, kernel_size):
    layer = SpatialGate(kernel_size, pool_order=order, dtype="float64")
    weights = random_weights(layer, SHAPE)
    x = random_images(SHAPE)
    y, gate = layer(x, return_attention=True)
    assert_close(gate.numpy(), spatial_gate(x, weights, order), 1e-12)
    assert_close(y.numpy(), x * spatial_gate(x, weights, order), 1e-12)


@pytest.mark.parametrize("order", ["max_mean", "mean_max"])
def test_cbam_equals_numpy(order):
    layer = CBAM(4, pool_order=order, dtype="float64")
    weights = random_weights(layer, SHAPE)
    x = random_images(SHAPE)
    y, gate = layer(x, return_attention=True)
    by_channel = channel_gate(x, weights, "channel_gate/")
    by_place = spatial_gate(x * by_channel, weights, order, "spatial_gate/")
    assert_close(gate.numpy(), by_channel * by_place, 1e-12)
    assert_close(y.numpy(), x * by_channel * by_place, 1e-12)


def test_channel_gate_by_hand():
    # The MLP is h = relu(z0 - z1), (h, -h): means (2, 1) give 1, maxima (3, 2) give 1.
    layer = ChannelGate(2, use_bias=False)
    layer.build((None, None, None, 2))
    layer.set_weights([np.array([[1.0], [-1.0]]), np.array([[1.0, -1.0]])])
    x = np.array([[[[1, 0], [3, 2]]]], "float32")
    _, gate = layer(x, return_attention=True)
    np.testing.assert_allclose(np.ravel(gate), sigmoid(np.array([2.0, -2.0])), rtol=1e-6)


@pytest.mark.parametrize(
    "name, use_bias, order, parts",
    [
        ("attention_module/cbam", True, "max_mean", ("ChannelGate.mlp.1", "ChannelGate.mlp.3")),
        ("timm/cbam", False, "mean_max", ("channel.fc1", "channel.fc2")),
        ("timm/cbam_bias", True, "mean_max", ("channel.fc1", "channel.fc2")),
    ],
)
def test_cbam_equals_its_sources(name, use_bias, order, parts):
    source, name = name.split("/")
    state, x, expected = load_source(source, name)
    layer = CBAM(use_bias=use_bias, pool_order=order)
    spatial = "spatial" if source == "timm" else "SpatialGate.spatial"
    names = {
        "channel_gate/reduce": parts[0],
        "channel_gate/expand": parts[1],
        "spatial_gate/conv": f"{spatial}.conv.conv" if source == "timm" else f"{spatial}.conv",
        "spatial_gate/bn": f"{spatial}.conv.bn" if source == "timm" else f"{spatial}.bn",
    }
    set_from_source(layer, x.shape, state, names)
    assert_close(layer(x).numpy(), expected)


def test_gates_equal_the_authors():
    state, x, expected = load_source("attention_module", "channel_gate")
    layer = ChannelGate()
    set_from_source(layer, x.shape, state, {"reduce": "mlp.1", "expand": "mlp.3"})
    assert_close(layer(x).numpy(), expected)

    state, x, expected = load_source("attention_module", "spatial_gate")
    layer = SpatialGate()
    set_from_source(layer, x.shape, state, {"conv": "spatial.conv", "bn": "spatial.bn"})
    assert_close(layer(x).numpy(), expected)


@pytest.mark.parametrize(
    "channels, expected",
    [(64, 680), (256, 8_564), (512, 33_412), (1024, 132_260), (2048, 526_564)],
)
def test_parameters(channels, expected):
    layer = CBAM()
    layer.build((None, None, None, channels))
    assert sum(int(np.prod(w.shape)) for w in layer.trainable_weights) == expected


@pytest.mark.parametrize(
    "base, widths, blocks, expected",
    [
        (11_689_512, (64, 128, 256, 512), (2, 2, 2, 2), 11_779_392),
        (21_797_672, (64, 128, 256, 512), (3, 4, 6, 3), 21_960_468),
        (25_557_032, (256, 512, 1024, 2048), (3, 4, 6, 3), 28_089_624),
        (44_549_160, (256, 512, 1024, 2048), (3, 4, 23, 3), 49_330_172),
    ],
)
def test_the_papers_networks_parameters(base, widths, blocks, expected):
    total = base
    for channels, number in zip(widths, blocks, strict=True):
        layer = CBAM()
        layer.build((None, None, None, channels))
        total += number * sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert total == expected


def test_the_authors_momentum_and_epsilon():
    layer = CBAM()
    layer.build((None, 7, 7, 16))
    assert (layer.spatial_gate.bn.momentum, layer.spatial_gate.bn.epsilon) == (0.99, 1e-5)


def test_zero_gamma_opens_every_place_by_half():
    x = random_images((1, 5, 3, 8)).astype("float32")
    _, gate = SpatialGate(zero_gamma=True)(x, return_attention=True)
    np.testing.assert_array_equal(gate, np.full((1, 5, 3, 1), 0.5))


@pytest.mark.parametrize("layer", [ChannelGate, CBAM])
def test_bottleneck_of_no_channels(layer):
    with pytest.raises(ValueError, match="`ratio` must not be greater .* ratio=16, channels=15"):
        layer(16).build((None, 7, 7, 15))


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"ratio": 0}, "`ratio` must be a positive integer. Received: ratio=0"),
        ({"kernel_size": 4}, "`kernel_size` must be odd. Received: kernel_size=4"),
        ({"kernel_size": (3, 3)}, "`kernel_size` must be a positive integer"),
        (
            {"pool_order": "mean"},
            "`pool_order` must be one of 'max_mean', 'mean_max'. Received: pool_order='mean'",
        ),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        CBAM(**kwargs)
    assert message in str(error.value)
