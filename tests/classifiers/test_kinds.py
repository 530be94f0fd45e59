"""What a text that stands for a classifier means."""

import pytest

from keras_attn.applications.common.names import NETWORKS
from keras_attn.classifiers.kinds import Source, find_source, network_of_tag
from keras_attn.weights.sources import SETS


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize(
    ("files", "text", "expected"),
    [
        (["r/run.json", "r/model.keras"], "r", Source("run", "r")),
        (["r/unfinished/description.json"], "r", Source("unfinished", "r")),
        (["m.keras"], "m.keras", Source("keras", "m.keras")),
        (["m.onnx"], "m.onnx", Source("onnx", "m.onnx")),
        (["m.tflite"], "m.tflite", Source("tflite", "m.tflite")),
        (["e/1/saved_model.pb"], "e/1", Source("saved_model", "e/1")),
        (["e/2/saved_model.pb", "e/10/saved_model.pb"], "e", Source("saved_model", "e/10")),
        ([], "cifar10", Source("tag", "cifar10/se_resnet20")),
        ([], "timm/seresnet50.ra2_in1k", Source("tag", "timm/seresnet50.ra2_in1k")),
        ([], "keras.applications.ResNet50", Source("applications", "ResNet50")),
    ],
)
def test_what_is_there_decides(tmp_path, monkeypatch, files, text, expected):
    monkeypatch.chdir(tmp_path)
    for file in files:
        touch(tmp_path / file)
    assert find_source(text) == expected


@pytest.mark.parametrize(
    ("files", "text", "error", "message"),
    [
        (["photos/a.png"], "photos", ValueError, "a folder of a run, with run.json, or of an"),
        (["r/run.json"], "r", FileNotFoundError, "has no model.keras"),
        (["a.png"], "a.png", ValueError, "ends in .keras, .onnx, .tflite"),
        (["runs/a.keras"], "runs/b.keras", FileNotFoundError, "did you mean runs/a.keras?"),
        ([], "timm/seresnet50.ra_in1k", FileNotFoundError, "mean timm/seresnet50.ra2_in1k?"),
    ],
)
def test_what_is_none(tmp_path, monkeypatch, files, text, error, message):
    monkeypatch.chdir(tmp_path)
    for file in files:
        touch(tmp_path / file)
    with pytest.raises(error, match=message):
        find_source(text)


def test_every_tag_has_its_network():
    for each in SETS:
        row = NETWORKS[network_of_tag(each.metadata.tag)]
        assert row.constructor == each.metadata.network
        assert row.arguments.items() <= each.arguments.items()
