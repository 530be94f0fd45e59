"""Every network of `keras_attn.applications` exports: SavedModel by three loaders, ONNX, TFLite."""

import json

import keras
import pytest

from keras_attn.applications import MODELS
from keras_attn.export import export_onnx, export_saved_model, export_tflite
from keras_attn.export.loaders import LOADERS
from keras_attn.layers import SqueezeExcite
from keras_attn.layers.channel_shuffle_2d import ChannelShuffle2D
from keras_attn.layers.grouped_conv2d import GroupedConv2D

# One of each family, small; `tiny_grouped` has the grouped convolutions.
SMALL = ("se_resnet20_cifar", "aa_resnet20_cifar", "residual_attention56_cifar")


def tiny_grouped():
    """The first unit of a SEShuffleNet: two grouped convolutions, channels shuffled between."""
    image = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = GroupedConv2D(16, 3, groups=4, use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = SqueezeExcite(4)(ChannelShuffle2D(4)(x))
    x = keras.layers.GlobalAveragePooling2D()(GroupedConv2D(8, 1, groups=2)(x))
    return keras.Model(image, keras.layers.Dense(5, activation="softmax")(x), name="tiny_grouped")


def export(model, folder):
    saved_model = export_saved_model(model, folder / model.name)
    report = json.loads((saved_model / "assets.extra" / "export_report.json").read_text())
    assert {check["loader"] for check in report["checks"]} == set(LOADERS)
    assert set(report["left_out"]) <= {"serve_attention"}
    return saved_model


@pytest.mark.parametrize("name", SMALL)
def test_one_of_each_family(name, tmp_path):
    keras.utils.set_random_seed(0)
    export(MODELS[name](include_preprocessing=True), tmp_path)


def test_grouped_convolutions(tmp_path):
    saved_model = export(tiny_grouped(), tmp_path)
    export_onnx(saved_model, tmp_path / "net.onnx")
    export_tflite(saved_model, tmp_path / "net.tflite")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_network(name, tmp_path):
    keras.utils.set_random_seed(0)
    saved_model = export(MODELS[name](include_preprocessing=True), tmp_path)
    export_onnx(saved_model, tmp_path / "net.onnx")
    export_tflite(saved_model, tmp_path / "net.tflite")
    keras.backend.clear_session()
