"""BAM against NumPy and the authors' code."""

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
from keras_attn.layers import BAM


def mask_by_numpy(x, weights, dilation, combine):
    hidden = dense(x.mean((1, 2)), weights, "channel_reduce")
    hidden = relu(batch_norm(hidden, weights, "channel_bn"))
    channel = dense(hidden, weights, "channel_expand")[:, None, None]
    y = relu(batch_norm(conv2d(x, weights, "spatial_reduce"), weights, "spatial_reduce_bn"))
    for i in (1, 2):
        y = conv2d(y, weights, f"spatial_conv{i}", dilation=dilation)
        y = relu(batch_norm(y, weights, f"spatial_bn{i}"))
    spatial = conv2d(y, weights, "spatial_logit")
    return sigmoid(channel + spatial if combine == "sum" else channel * spatial)


@pytest.mark.parametrize("combine", ["sum", "product"])
@pytest.mark.parametrize("dilation", [1, 4])
def test_equals_numpy(combine, dilation):
    shape = (2, 11, 7, 12)
    layer = BAM(4, dilation_rate=dilation, combine=combine, dtype="float64")
    weights = random_weights(layer, shape)
    x = random_images(shape)
    y, mask = layer(x, return_attention=True)
    expected = mask_by_numpy(x, weights, dilation, combine)
    assert_close(mask.numpy(), expected, 1e-12)
    assert_close(y.numpy(), (1 + expected) * x, 1e-12)


def test_one_place_and_as_many_images_as_channels():
    """TensorFlow's BiasAdd must not take the spatial branch (B, 1, 1, 1) for a channel's bias."""
    layer = BAM(2)
    random_weights(layer, (4, 1, 1, 4))
    x = random_images((4, 1, 1, 4)).astype("float32")
    assert_close(layer(x).numpy()[:1], layer(x[:1]).numpy())


def test_equals_the_authors():
    state, x, expected = load_source("attention_module", "bam")
    names = {
        "channel_reduce": "channel_att.gate_c.gate_c_fc_0",
        "channel_bn": "channel_att.gate_c.gate_c_bn_1",
        "channel_expand": "channel_att.gate_c.gate_c_fc_final",
        "spatial_reduce": "spatial_att.gate_s.gate_s_conv_reduce0",
        "spatial_reduce_bn": "spatial_att.gate_s.gate_s_bn_reduce0",
        "spatial_conv1": "spatial_att.gate_s.gate_s_conv_di_0",
        "spatial_bn1": "spatial_att.gate_s.gate_s_bn_di_0",
        "spatial_conv2": "spatial_att.gate_s.gate_s_conv_di_1",
        "spatial_bn2": "spatial_att.gate_s.gate_s_bn_di_1",
        "spatial_logit": "spatial_att.gate_s.gate_s_conv_final",
    }
    layer = BAM(combine="product")
    set_from_source(layer, x.shape, state, names)
    assert_close(layer(x).numpy(), expected)


def test_by_hand():
    # With all weights 0 both logits are 0: the mask is 1/2.
    layer = BAM(2)
    layer.build((None, None, None, 2))
    layer.set_weights([np.zeros(w.shape) for w in layer.weights])
    x = random_images((1, 3, 5, 2)).astype("float32")
    np.testing.assert_allclose(layer(x), 1.5 * x, rtol=1e-6)


@pytest.mark.parametrize(
    "channels, expected",
    [(64, 1_173), (128, 4_457), (256, 17_361), (512, 68_513), (1024, 272_193)],
)
def test_parameters(channels, expected):
    layer = BAM()
    layer.build((None, None, None, channels))
    assert sum(int(np.prod(w.shape)) for w in layer.trainable_weights) == expected


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"ratio": -1}, "`ratio` must be a positive integer. Received: ratio=-1"),
        ({"dilation_rate": 0}, "`dilation_rate` must be a positive integer"),
        (
            {"combine": "add"},
            "`combine` must be one of 'sum', 'product'. Received: combine='add'",
        ),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        BAM(**kwargs)
    assert message in str(error.value)


def test_bottleneck_of_no_channels():
    with pytest.raises(ValueError, match="`ratio` must not be greater .* ratio=16, channels=15"):
        BAM().build((None, 7, 7, 15))
