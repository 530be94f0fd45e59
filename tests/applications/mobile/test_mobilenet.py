"""SE-MobileNet: counts, Keras's MobileNet beside it, and what every network must do."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np

from helpers.network_checks import NetworkChecks, count_trainable
from keras_attn.applications import SEMobileNet
from keras_attn.applications.mobile import mobilenet
from keras_attn.layers import SqueezeExcite


class TestSEMobileNet(NetworkChecks):
    make = staticmethod(partial(SEMobileNet, ratio=4))
    slim = {(mobilenet, "STAGES"): ((32, 1), (32, 2), (64, 1), (64, 2), (96, 1))}
    channels = 96


def test_parameters(built):
    squeezed, plain = built("SEMobileNet"), built("SEMobileNet", attention=None)
    assert count_trainable(plain) == 4_231_976  # 4.2M
    assert count_trainable(squeezed) - count_trainable(plain) == 486_068  # 4.7M
    assert plain.name == "mobilenet"


def test_the_baselines_weights_are_those_of_keras(built, no_values):
    """By shape and order; Keras has ReLU6, and pads on one side."""
    ours = built("SEMobileNet", attention=None)
    keras_own = keras.applications.MobileNet(weights=None)
    assert ours.count_params() == keras_own.count_params()
    for mine, other in zip(ours.weights, keras_own.weights, strict=True):
        assert np.prod(mine.shape) == np.prod(other.shape), (mine.path, other.path)


def test_squeeze_excite_follows_each_pointwise_convolution(built):
    model = built("SEMobileNet")
    gates = [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]
    assert len(gates) == 13
    for gate in gates:
        assert gate.input._keras_history.operation.name == gate.name.replace("_se", "_relu2")


def test_depthwise_kernels_start_with_hes_deviation():
    kernel = SEMobileNet(attention=None).get_layer("stage5_block2_dw").kernel.numpy()
    assert kernel.shape == (3, 3, 1024, 1)
    assert abs(kernel.std() - np.sqrt(2 / 9)) < 0.01


def test_strided_convolutions_pad_both_sides(built):
    model = built("SEMobileNet", attention=None)
    strided = [name for name in (layer.name for layer in model.layers) if name.endswith("_pad")]
    assert strided == ["stem_conv_pad", *[f"stage{s}_block1_dw_pad" for s in (2, 3, 4, 5)]]
    assert model.get_layer("stem_conv_pad").padding == ((1, 1), (1, 1))
