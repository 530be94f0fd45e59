"""SimpleCoordinateAttention against timm."""

import numpy as np
import pytest

from helpers.oracles.numpy_forward import random_images
from helpers.oracles.reference_outputs import assert_equals_source
from keras_attn.layers import SimpleCoordinateAttention


def test_equals_timm():
    parts = {"reduce": "fc1", "rows": "fc_h", "columns": "fc_w"}
    assert_equals_source(SimpleCoordinateAttention(), "simple_coordinate", parts)


def test_by_hand():
    # The bottleneck is 0, so that the biases alone make the gates: 1 - 1 and 40 + 0.
    layer = SimpleCoordinateAttention()
    layer.build((None, None, None, 2))
    layer.set_weights([np.zeros(w.shape) for w in layer.weights])
    layer.rows.bias.assign([1.0, 40.0])
    layer.columns.bias.assign([-1.0, 0.0])
    x = random_images((1, 3, 5, 2)).astype("float32")
    np.testing.assert_allclose(layer(x), x * [0.5, 1.0], rtol=1e-6)


@pytest.mark.parametrize("channels, width", [(24, 8), (96, 16), (512, 88), (2048, 344)])
def test_parameters(channels, width):
    layer = SimpleCoordinateAttention()  # timm's width: C / 4 * 2 / 3, to a multiple of 8
    layer.build((None, None, None, channels))
    assert layer.count_params() == 3 * channels * width + width + 2 * channels


@pytest.mark.parametrize("argument", ["ratio", "bottleneck_channels"])
def test_wrong_arguments(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be a positive integer. .*=0"):
        SimpleCoordinateAttention(**{argument: 0})
