"""GatherExcite against NumPy and timm 1.0.19.

timm's global convolution is padded, and its MLP has no ReLU before it, so that neither the global
theta nor theta-plus can be compared with it: for these the authors' prototxts are the source.
"""

import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.numpy_forward import (
    batch_norm,
    conv2d,
    depthwise_conv2d,
    random_images,
    random_weights,
    relu,
    sigmoid,
)
from helpers.oracles.reference_outputs import load_source, set_from_source
from keras_attn.layers import GatherExcite
from keras_attn.layers.gates.spatial.gather_excite import upsample_nearest

SHAPE = (2, 11, 9, 6)


def mean_gather(x, extent):
    _, height, width, _ = x.shape
    rows = []
    for i in range(0, height, extent):
        row = []
        for j in range(0, width, extent):
            top, left = max(i - extent + 1, 0), max(j - extent + 1, 0)
            row.append(x[:, top : i + extent, left : j + extent].mean((1, 2)))
        rows.append(np.stack(row, axis=1))
    return np.stack(rows, axis=1)


def convolution_gather(x, weights, extent):
    if extent == "global":
        kernel = weights["gather_conv/kernel"][..., 0]
        x = (x * kernel).sum((1, 2), keepdims=True)
        return batch_norm(x, weights, "gather_bn")
    steps = {2: 1, 4: 2, 8: 3}[extent]
    for i in range(1, steps + 1):
        x = depthwise_conv2d(x, weights, f"gather_conv{i}", strides=2)
        x = batch_norm(x, weights, f"gather_bn{i}")
        x = relu(x) if i < steps else x
    return x


def spread(gate, size):
    rows = np.arange(size[0]) * gate.shape[1] // size[0]
    columns = np.arange(size[1]) * gate.shape[2] // size[1]
    return gate[:, rows][:, :, columns]


@pytest.mark.parametrize("extent", [2, 4, 8, "global"])
@pytest.mark.parametrize("mode", ["theta_minus", "theta", "theta_plus"])
def test_equals_numpy(mode, extent):
    layer = GatherExcite(mode, extent=extent, ratio=2, dtype="float64")
    weights = random_weights(layer, SHAPE)
    x = random_images(SHAPE)
    if mode == "theta_minus":
        gathered = x.mean((1, 2), keepdims=True) if extent == "global" else mean_gather(x, extent)
    else:
        gathered = convolution_gather(x, weights, extent)
    if mode == "theta_plus":
        hidden = relu(conv2d(relu(gathered), weights, "reduce"))
        gathered = conv2d(hidden, weights, "expand")
    gate = sigmoid(gathered)
    y, got = layer(x, return_attention=True)
    assert_close(got.numpy(), gate, 1e-12)
    assert_close(y.numpy(), x * spread(gate, (11, 9)), 1e-12)


@pytest.mark.parametrize("extent", [2, 4, 8, "global"])
def test_theta_minus_equals_timm(extent):
    state, x, expected = load_source("timm", f"gather_excite_theta_minus_{extent}")
    assert state == {}
    assert_close(GatherExcite(extent=extent)(x).numpy(), expected)


@pytest.mark.parametrize("extent", [2, 4, 8])
def test_theta_equals_timm(extent):
    state, x, expected = load_source("timm", f"gather_excite_theta_{extent}")
    layer = GatherExcite("theta", extent=extent)
    parts = {f"gather_conv{i}": f"gather.conv{i}" for i in (1, 2, 3)}
    parts |= {f"gather_bn{i}": f"gather.norm{i}" for i in (1, 2, 3)}
    set_from_source(layer, x.shape, state, parts)
    assert_close(layer(x).numpy(), expected)


def test_theta_minus_by_hand():
    # Windows of 3 places, 2 apart, on a row of 3: (0, 1) and (1, 2).
    x = np.array([1, 3, 5], "float32").reshape(1, 1, 3, 1)
    with pytest.raises(ValueError, match="`extent` must not be greater"):
        GatherExcite(extent=2)(x)
    x = np.concatenate([x, x], axis=1)
    _, gate = GatherExcite(extent=2)(x, return_attention=True)
    np.testing.assert_allclose(np.ravel(gate), sigmoid(np.array([2.0, 4.0])), rtol=1e-6)


def test_upsampling_by_hand():
    x = np.arange(3.0).reshape(1, 1, 3, 1)
    np.testing.assert_array_equal(np.ravel(upsample_nearest(x, (1, 5), (1, 2))), [0, 0, 1, 1, 2])


def test_theta_minus_has_no_weights():
    layer = GatherExcite()
    layer.build((None, None, None, 3))
    assert layer.weights == []


@pytest.mark.parametrize("mode, expected", [("theta", 31_106_600), ("theta_plus", 33_637_592)])
def test_resnet50_has_the_papers_parameters(mode, expected):
    total = 25_557_032
    stages = ((256, 3, 56), (512, 4, 28), (1024, 6, 14), (2048, 3, 7))
    for channels, blocks, size in stages:
        layer = GatherExcite(mode)
        layer.build((None, size, size, channels))
        total += blocks * sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert total == expected


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (
            {"mode": "theta-plus"},
            "`mode` must be one of 'theta_minus', 'theta', 'theta_plus'. "
            "Received: mode='theta-plus'",
        ),
        ({"extent": 3}, "`extent` must be 2, 4, 8 or 'global'. Received: extent=3"),
        ({"extent": 0}, "`extent` must be 2, 4, 8 or 'global'. Received: extent=0"),
        ({"extent": "all"}, "`extent` must be 2, 4, 8 or 'global'. Received: extent='all'"),
        ({"ratio": 0}, "`ratio` must be a positive integer. Received: ratio=0"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        GatherExcite(**kwargs)
    assert message in str(error.value)


@pytest.mark.parametrize("mode", ["theta_minus", "theta", "theta_plus"])
def test_extent_larger_than_the_map(mode):
    message = (
        "`extent` must not be greater than the input's height and width; 2, 4, 'global' would "
        "do. Received: extent=8, input_shape=(None, 7, 14, 16)"
    )
    with pytest.raises(ValueError) as error:
        GatherExcite(mode, extent=8).build((None, 7, 14, 16))
    assert message in str(error.value)


def test_global_convolution_needs_the_maps_size():
    with pytest.raises(ValueError, match="unknown at build: a global convolution"):
        GatherExcite("theta").build((None, None, 7, 16))
    layer = GatherExcite("theta")
    layer.build((None, 7, 5, 16))
    with pytest.raises(ValueError, match=r"must be those at build, \(7, 5\).*2, 4 and 8 take"):
        layer(np.ones((1, 5, 7, 16), "float32"))


def test_bottleneck_of_no_channels():
    with pytest.raises(ValueError, match="`ratio` must not be greater .* ratio=16, channels=15"):
        GatherExcite("theta_plus").build((None, 7, 7, 15))
