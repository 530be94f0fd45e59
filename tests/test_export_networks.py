"""Every network of `keras_attn.applications` exports: SavedModel by three loaders, ONNX, TFLite."""

import json

import keras
import pytest

from keras_attn.applications import MODELS
from keras_attn.export import export_onnx, export_saved_model, export_tflite
from keras_attn.export.loaders import LOADERS

# One of each family, small; SEShuffleNet has the grouped convolutions.
SMALL = {
    "se_resnet20_cifar": 32,
    "aa_resnet20_cifar": 32,
    "residual_attention56_cifar": 32,
    "se_shufflenet": 64,
}


def export(name, size, folder):
    keras.utils.set_random_seed(0)
    options = {} if size is None else {"input_shape": (size, size, 3)}
    model = MODELS[name](include_preprocessing=True, **options)
    saved_model = export_saved_model(model, folder / name)
    report = json.loads((saved_model / "assets.extra" / "export_report.json").read_text())
    assert {check["loader"] for check in report["checks"]} == set(LOADERS)
    assert set(report["left_out"]) <= {"serve_attention"}
    return saved_model


@pytest.mark.parametrize("name", SMALL)
def test_one_of_each_family(name, tmp_path):
    export(name, SMALL[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_network(name, tmp_path):
    saved_model = export(name, None, tmp_path)
    export_onnx(saved_model, tmp_path / "net.onnx")
    export_tflite(saved_model, tmp_path / "net.tflite")
    keras.backend.clear_session()
