"""SelectiveKernel against NumPy and timm."""

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
    softmax,
)
from helpers.oracles.reference_outputs import load_source, set_from_source
from keras_attn.layers import SelectiveKernel
from keras_attn.layers.gates._bottleneck import bottleneck_width

TIMM = {"bottleneck_divisor": 8, "min_bottleneck_channels": 1}
TIMM_PARTS = {
    "path1_conv": "paths.0.conv",
    "path1_bn": "paths.0.bn",
    "path2_conv": "paths.1.conv",
    "path2_bn": "paths.1.bn",
    "reduce": "attn.fc_reduce",
    "reduce_bn": "attn.bn",
    "select": "attn.fc_select",
}


def forward(x, weights, rates, strides, groups, split_input):
    parts = np.split(x, len(rates), axis=3) if split_input else [x] * len(rates)
    paths = []
    for i, (part, rate) in enumerate(zip(parts, rates, strict=True), start=1):
        y = conv2d(part, weights, f"path{i}_conv", strides, rate, groups)
        paths.append(relu(batch_norm(y, weights, f"path{i}_bn")))
    pooled = sum(paths).mean((1, 2))
    hidden = relu(batch_norm(dense(pooled, weights, "reduce"), weights, "reduce_bn"))
    logits = dense(hidden, weights, "select").reshape(len(x), len(rates), -1)
    attention = softmax(logits, axis=1)
    output = sum(p * attention[:, i, None, None] for i, p in enumerate(paths))
    return output, attention


@pytest.mark.parametrize(
    "rates, strides, groups, split_input",
    [
        ((1, 2), 1, 1, False),
        ((1, 2), 1, 4, True),
        ((1, 2), 2, 2, True),
        ((1, 2, 4), 2, 1, False),
        ((2, 3), 1, 1, False),
    ],
)
@pytest.mark.parametrize("size", [(7, 5), (8, 6)])
def test_equals_numpy(rates, strides, groups, split_input, size):
    shape = (2, *size, 24)
    layer = SelectiveKernel(
        12,
        strides=strides,
        dilation_rates=rates,
        groups=groups,
        split_input=split_input,
        min_bottleneck_channels=3,
        dtype="float64",
    )
    weights = random_weights(layer, shape)
    x = random_images(shape)
    expected = forward(x, weights, rates, strides, groups, split_input)
    for got, array in zip(layer(x, return_attention=True), expected, strict=True):
        assert_close(got.numpy(), array, 1e-10)


@pytest.mark.parametrize(
    "name, kwargs",
    [
        ("selective_kernel", {}),
        ("selective_kernel_split", {"split_input": True}),
        (
            "selective_kernel_split_strided",
            {"split_input": True, "filters": 10, "strides": 2, "groups": 2},
        ),
    ],
)
def test_equals_timm(name, kwargs):
    state, x, expected = load_source("timm", name)
    layer = SelectiveKernel(**kwargs, **TIMM)
    set_from_source(layer, x.shape, state, TIMM_PARTS)
    assert_close(layer(x).numpy(), expected)


def test_equal_paths_share_alike():
    layer = SelectiveKernel(dilation_rates=(2, 2), min_bottleneck_channels=1, ratio=2)
    weights = random_weights(layer, (1, 5, 3, 4))
    weights["select/kernel"] = np.zeros_like(weights["select/kernel"])
    layer.set_weights(list(weights.values()))
    x = random_images((1, 5, 3, 4)).astype("float32")
    _, attention = layer(x, return_attention=True)
    np.testing.assert_array_equal(attention, np.full((1, 2, 4), 0.5))


def test_parameters_of_the_papers_unit():
    """SKNet-50's first unit: 128 channels in 32 groups, d = max(128 / 16, 32)."""
    layer = SelectiveKernel(groups=32)
    layer.build((None, None, None, 128))
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert trainable == 2 * (9 * 4 * 128 + 2 * 128) + 128 * 32 + 2 * 32 + 32 * 256


@pytest.mark.parametrize(
    "channels, ratio, divisor, least_share, expected",
    [
        (64, 16, 1, 0.0, 4),
        (63, 16, 1, 0.9, 3),
        (64, 16, 8, 0.0, 8),
        (192, 16, 8, 0.0, 16),
        (160, 16, 8, 0.0, 8),
        (160, 16, 8, 0.9, 16),
        (512, 16, 8, 0.9, 32),
    ],
)
def test_rounding(channels, ratio, divisor, least_share, expected):
    width = bottleneck_width(channels, ratio, (), divisor=divisor, least_share=least_share)
    assert width == expected


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"dilation_rates": (1,)}, "`dilation_rates` must be two or more positive integers"),
        ({"dilation_rates": 2}, "`dilation_rates` must be two or more positive integers"),
        ({"dilation_rates": (1, 0)}, "`dilation_rates` must be a positive integer"),
        (
            {"strides": 2, "dilation_rates": (1, 3)},
            "`strides` must divide each of `dilation_rates` that is greater than 1. "
            "Received: strides=2, dilation_rates=(1, 3)",
        ),
        ({"filters": 0}, "`filters` must be a positive integer. Received: filters=0"),
        ({"groups": 0}, "`groups` must be a positive integer. Received: groups=0"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        SelectiveKernel(**kwargs)
    assert message in str(error.value)


def test_channels_that_can_not_be_divided():
    with pytest.raises(ValueError, match="`split_input` needs .* divisible by the number of paths"):
        SelectiveKernel(split_input=True).build((None, 7, 7, 15))
    with pytest.raises(ValueError, match="`groups` must divide .* groups=4, 6 channels"):
        SelectiveKernel(groups=4).build((None, 7, 7, 6))
