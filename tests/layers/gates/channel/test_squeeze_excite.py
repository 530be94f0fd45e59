"""SqueezeExcite against answers worked out by hand."""

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.oracles.reference_outputs import load_source
from keras_attn.layers import SqueezeExcite


def with_weights(**kwargs):
    """Two channels, one in the bottleneck: z -> 2 z0 - z1 + 1 -> relu -> (h - 3, -h + 2)."""
    layer = SqueezeExcite(2, gate_activation="linear", **kwargs)
    layer.build((None, None, None, 2))
    weights = [[[2.0], [-1.0]], [[1.0, -1.0]], [1.0], [-3.0, 2.0]]
    layer.set_weights([np.array(w) for w in weights])
    return layer


def test_answer_by_hand():
    # Means are (2, 1): h = relu(4 - 1 + 1) = 4, the gate (1, -2).
    x = np.array([[[[1, 0], [3, 2]]]], "float32")  # (1, 1, 2, 2)
    y, gate = with_weights()(x, return_attention=True)
    np.testing.assert_array_equal(gate, [[[[1, -2]]]])
    np.testing.assert_array_equal(y, [[[[1, 0], [3, -4]]]])


def test_max_pooling_by_hand():
    # Maxima are (3, 2): h = relu(6 - 2 + 1) = 5, the gate (2, -3).
    x = np.array([[[[1, 0], [3, 2]]]], "float32")
    y, gate = with_weights(pooling="max")(x, return_attention=True)
    np.testing.assert_array_equal(gate, [[[[2, -3]]]])
    np.testing.assert_array_equal(y, [[[[2, 0], [6, -6]]]])


def test_relu_of_the_bottleneck_by_hand():
    # Means are (0, 3): h = relu(0 - 3 + 1) = 0, the gate is the bias (-3, 2).
    x = np.array([[[[0, 3]]]], "float32")
    _, gate = with_weights()(x, return_attention=True)
    np.testing.assert_array_equal(gate, [[[[-3, 2]]]])


def test_fresh_gate_is_near_a_half():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(4, 5, 7, 64)).astype("float32")
    _, gate = SqueezeExcite()(x, return_attention=True)
    assert abs(float(np.mean(gate)) - 0.5) < 0.05


@pytest.mark.parametrize("channels, ratio", [(64, 16), (48, 16), (10, 3)])
def test_parameters(channels, ratio):
    """2 C h + h + C with h = C // r: the 2 C^2 / r + C / r + C of the paper's networks."""
    layer = SqueezeExcite(ratio)
    layer.build((None, None, None, channels))
    h = channels // ratio
    assert layer.count_params() == 2 * channels * h + h + channels


def test_resnet50_has_the_papers_parameters():
    total = 0
    for channels, blocks in ((256, 3), (512, 4), (1024, 6), (2048, 3)):
        layer = SqueezeExcite()
        layer.build((None, None, None, channels))
        total += blocks * layer.count_params()
    assert total == 2_530_992


def test_bottleneck_channels_override_the_ratio():
    layer = SqueezeExcite(16, bottleneck_channels=8)
    layer.build((None, None, None, 4))
    assert layer.reduce_kernel.shape == (4, 8)


def test_gate_survives_values_beyond_float16():
    layer = SqueezeExcite(2, dtype="mixed_float16")
    x = np.full((1, 3, 3, 4), 60000, "float16")  # their sum overflows float16
    _, gate = layer(x, return_attention=True)
    assert np.isfinite(gate).all()


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"ratio": 0}, "`ratio` must be a positive integer. Received: ratio=0"),
        ({"ratio": 2.5}, "`ratio` must be a positive integer. Received: ratio=2.5"),
        ({"ratio": True}, "`ratio` must be a positive integer. Received: ratio=True"),
        ({"bottleneck_channels": -1}, "`bottleneck_channels` must be a positive integer"),
        (
            {"pooling": "mean"},
            "`pooling` must be one of 'average', 'max'. Received: pooling='mean'",
        ),
        ({"data_format": "NHWC"}, "`data_format` must be one of 'channels_last'"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        SqueezeExcite(**kwargs)
    assert message in str(error.value)


def test_bottleneck_of_no_channels():
    with pytest.raises(ValueError, match="`ratio` must not be greater .* ratio=16, channels=15"):
        SqueezeExcite(16).build((None, 7, 7, 15))


def test_unknown_channels():
    with pytest.raises(ValueError, match="channel axis .* must have a size"):
        SqueezeExcite().build((None, 7, 7, None))


def test_wrong_rank():
    with pytest.raises(ValueError, match="expected ndim=4, found ndim=2"):
        SqueezeExcite()(np.ones((2, 16), "float32"))


def test_equals_timm():
    """timm rounds the bottleneck of 48 / 16 channels up to 8."""
    state, x, expected = load_source("timm", "se_module")
    layer = SqueezeExcite(bottleneck_divisor=8)
    layer.build(x.shape)
    assert layer.reduce_kernel.shape == (48, 8)
    kernels = [state[f"{name}.weight"][:, :, 0, 0].T for name in ("fc1", "fc2")]
    layer.set_weights([*kernels, state["fc1.bias"], state["fc2.bias"]])
    assert_close(layer(x).numpy(), expected)


@pytest.mark.parametrize("channels, width", [(32, 8), (64, 8), (128, 8), (192, 16), (2048, 128)])
def test_timms_rounding(channels, width):
    layer = SqueezeExcite(bottleneck_divisor=8)
    layer.build((None, None, None, channels))
    assert layer.reduce_kernel.shape == (channels, width)
