"""TripletAttention against the authors' code."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images, random_weights
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import TripletAttention

PLANES = {
    "channel_width": "ChannelGateH",
    "height_channel": "ChannelGateW",
    "height_width": "SpatialGate",
}


@pytest.mark.parametrize("use_spatial", [True, False])
def test_equals_the_authors(use_spatial):
    parts = {
        f"{plane}_{part}": f"{gate}.spatial.{part}"
        for plane, gate in PLANES.items()
        for part in ("conv", "bn")
    }
    name = "triplet_attention" if use_spatial else "triplet_attention_no_spatial"
    assert_equals_source(TripletAttention(use_spatial=use_spatial), name, parts)


def test_by_hand():
    layer = TripletAttention(1, dtype="float64")
    layer.build((None, None, None, 2))
    # Each gate's logit is the maximum plus ten times the mean along its axis; no normalization.
    kernel, plain = np.array([1.0, 10.0]).reshape(1, 1, 2, 1), [np.ones(1), np.zeros(1)]
    statistics = [np.zeros(1), np.full(1, 1 - 1e-5)]
    values = {"kernel": [kernel], "gamma": plain[:1], "beta": plain[1:]}
    values |= {"moving_mean": statistics[:1], "moving_variance": statistics[1:]}
    layer.set_weights([values[w.path.rpartition("/")[2]][0] for w in layer.weights])
    x = np.array([[0.1, -0.3], [0.5, 0.2]]).reshape(1, 2, 1, 2)
    _, gate = layer(x, return_attention=True)

    def of(a, b):
        return 1 / (1 + np.exp(-(max(a, b) + 5 * (a + b))))

    along_h, along_c = [of(0.1, 0.5), of(-0.3, 0.2)], [of(0.1, -0.3), of(0.5, 0.2)]
    for row in (0, 1):
        for channel in (0, 1):
            value = x[0, row, 0, channel]
            mean = (along_h[channel] + along_c[row] + of(value, value)) / 3
            np.testing.assert_allclose(gate[0, row, 0, channel], mean, rtol=1e-9)


def test_parameters():
    """The paper's 4.8 thousand for ResNet-50's 16 blocks."""
    layer = TripletAttention()
    random_weights(layer, (1, 3, 5, 256))
    trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert 16 * trainable == 4800
    assert layer(random_images((1, 3, 5, 256)).astype("float32")).shape == (1, 3, 5, 256)


def test_wrong_kernel_size():
    with pytest.raises(ValueError, match="`kernel_size` must be odd.*kernel_size=2"):
        TripletAttention(2)
