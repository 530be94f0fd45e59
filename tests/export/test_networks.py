"""Every network of `keras_attn.applications` exports: SavedModel by three loaders, ONNX, TFLite."""

import json

import keras
import pytest

from helpers.network_checks import as_trained
from keras_attn.applications import MODELS, CIFARResNet
from keras_attn.export import export_onnx, export_saved_model, export_tflite
from keras_attn.export.checks.loaders import LOADERS
from keras_attn.layers import AttentionModule, SqueezeExcite
from keras_attn.layers.building_blocks.channel_shuffle_2d import ChannelShuffle2D
from keras_attn.layers.building_blocks.grouped_conv2d import GroupedConv2D


def around(features, name):
    """A network of 32x32 pixels: a stem, `features`, a classifier."""
    image = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(features(x))
    return keras.Model(image, keras.layers.Dense(5, activation="softmax")(x), name=name)


def residual_attention():
    """The first module of a Residual Attention Network, whose smallest has thousands of nodes."""
    return around(AttentionModule(mask_depth=1), "residual_attention")


def grouped():
    """A unit as SEShuffleNet's: grouped convolutions, channels shuffled between, gates."""

    def unit(x):
        x = GroupedConv2D(16, 3, groups=4, use_bias=False)(x)
        x = ChannelShuffle2D(4)(keras.layers.BatchNormalization()(x))
        return SqueezeExcite(4)(GroupedConv2D(8, 1, groups=2)(x))

    return around(unit, "grouped")


def augmented():
    return CIFARResNet(8, attention="aa", include_preprocessing=True)


# What the other tests of exporting don't have; all networks are in the slow suite.
SMALL = [grouped, augmented, residual_attention]


def export(model, folder):
    saved_model = export_saved_model(model, folder / model.name)
    report = json.loads((saved_model / "assets.extra" / "export_report.json").read_text())
    assert {check["loader"] for check in report["checks"]} == set(LOADERS)
    assert set(report["left_out"]) <= {"serve_attention"}
    return saved_model


@pytest.mark.slow
@pytest.mark.parametrize("make", SMALL)
def test_one_of_each_family(make, tmp_path):
    saved_model = export(make(), tmp_path)
    if make is grouped:  # attention's conversions are in test_conversion
        export_onnx(saved_model, tmp_path / "net.onnx")
        export_tflite(saved_model, tmp_path / "net.tflite")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_network(name, tmp_path):
    keras.utils.set_random_seed(0)
    saved_model = export(as_trained(MODELS[name](include_preprocessing=True)), tmp_path)
    export_onnx(saved_model, tmp_path / "net.onnx")
    export_tflite(saved_model, tmp_path / "net.tflite")
    keras.backend.clear_session()
