"""What `weights=` means, and what a network remembers of its weights."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import logging

import keras
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from helpers.network_checks import as_trained
from helpers.oracles.random_state import random_image, recorded
from keras_attn.applications import (
    CIFARResNet,
    ECAResNet50,
    ResidualAttention56,
    ResNet18,
    ResNet101,
    SEResNet18,
    SEResNet50,
    pyramid_outputs,
)
from keras_attn.applications.common.preprocessing import preprocess_input
from keras_attn.applications.inputs import find_class_names, find_preprocessing
from keras_attn.export import export_saved_model
from keras_attn.weights import (
    DownloadError,
    Metadata,
    choice,
    choose,
    get_metadata,
    hub,
    load_weights,
    set_metadata,
)
from keras_attn.weights.sources.cifar10 import cifar10_sets

TAG = "timm/legacy_seresnet18.in1k"
LOGITS = {"classes": 11, "classifier_activation": None, "input_shape": (None, None, 3)}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """timm's legacy_seresnet18 with random weights and 11 classes."""
    path = tmp_path_factory.mktemp("weights") / "seresnet18.safetensors"
    safetensors.numpy.save_file(recorded("legacy_seresnet18")[0], path)
    return path


@pytest.fixture
def downloaded(file, monkeypatch):
    monkeypatch.setattr(choice, "fetch", lambda remote: file)


@pytest.fixture(scope="module")
def pretrained(file):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "fetch", lambda remote: file)
        return SEResNet18(weights="imagenet", **LOGITS)


def check_logits(model):
    (size, expected), *_ = recorded("legacy_seresnet18")[1].items()
    np.testing.assert_allclose(model(random_image(*size)), expected, rtol=0, atol=1e-5)


def test_a_set_brings_its_geometry_and_its_metadata(pretrained):
    """The default geometry would load, too, and be wrong."""
    check_logits(pretrained)
    metadata = get_metadata(pretrained)
    assert metadata.tag == TAG and metadata.top1 == 71.742 and metadata.changes == ()
    assert (metadata.size, metadata.crop, metadata.interpolation) == (224, 0.875, "bicubic")
    assert metadata.labels == "imagenet" and metadata.licence == "Apache-2.0"


@pytest.mark.parametrize("weights", [TAG, f"hf://{TAG}"])
def test_tags(weights):
    chosen = choose(weights, "SEResNet18", {})
    assert chosen.set.metadata.tag == TAG and chosen.arguments == {"geometry": "legacy"}
    assert choose(weights, "SEResNet18", {"geometry": "legacy"}).set is chosen.set


def test_a_repository_of_the_hub_that_no_table_lists(file, tmp_path, monkeypatch):
    config = tmp_path / "config.json"
    given = {
        "mean": [0.5, 0.5, 0.5],
        "std": [1, 1, 1],
        "crop_pct": 0.9,
        "input_size": [3, 160, 160],
    }
    config.write_text(json.dumps({"pretrained_cfg": {**given, "license": "mit"}}))
    asked = []

    def fetch(remote):
        asked.append(remote.url)
        return config if remote.url.endswith("config.json") else file

    monkeypatch.setattr(hub, "fetch", fetch)
    model = SEResNet18(weights="hf://me/my-net", **LOGITS)
    check_logits(model)  # the geometry by the names
    assert asked == ["hf://me/my-net/model.safetensors", "hf://me/my-net/config.json"]
    metadata = get_metadata(model)
    assert (metadata.tag, metadata.mean, metadata.size) == ("hf://me/my-net", (0.5, 0.5, 0.5), 160)
    assert (metadata.licence, metadata.crop, metadata.top1) == ("mit", 0.9, None)
    config.write_text("[1]")
    with pytest.raises(ValueError, match="config.json is no configuration of weights"):
        choose("hf://me/my-net", "SEResNet18", {})


def test_a_path_of_a_known_format_brings_the_geometry(file):
    model = SEResNet18(weights=file, **LOGITS)
    check_logits(model)
    metadata = get_metadata(model)
    assert metadata.tag == file.name and metadata.top1 is None and metadata.licence == ""
    assert metadata.std == (0.229, 0.224, 0.225)


@pytest.mark.thorough
def test_metadata_goes_where_the_network_goes(pretrained, tmp_path):
    pretrained.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    check_logits(loaded)
    again = SEResNet18(weights=tmp_path / "a.keras", **LOGITS)
    check_logits(again)  # the file says which geometry
    features = pretrained.get_layer("avg_pool").output
    with_head = keras.Model(pretrained.input, keras.layers.Dense(3)(features))
    image = keras.Input((64, 64, 3))
    nested = keras.Model(image, pretrained(image))
    for model in (loaded, again, keras.models.clone_model(pretrained), with_head, nested):
        assert get_metadata(model) == get_metadata(pretrained)
    assert json.loads(pretrained.to_json())  # no tuple or array that JSON can't take
    assert list(pyramid_outputs(loaded)) == ["P2", "P3", "P4", "P5"]


def test_each_change_is_said(downloaded, caplog):
    with caplog.at_level(logging.WARNING, "keras_attn"):
        model = SEResNet18(weights=TAG, classes=7, input_shape=(64, 64, 1))
    new_head = "a new classifier of 7 classes, where the file has 11"
    channels = "stem_conv/kernel adapted from 3 to 1 input channels"
    assert get_metadata(model).changes == (channels, new_head)
    assert caplog.messages == [f"se_resnet18: {channels}", f"se_resnet18: {new_head}"]


def test_without_a_classifier_behind_a_layer_of_the_users(downloaded, caplog):
    image = keras.Input((64, 64, 5))
    own = keras.layers.Conv2D(3, 1, name="own")
    x = own(image)
    before = own.get_weights()
    model = SEResNet18(weights=TAG, include_top=False, pooling="avg", input_tensor=x)
    assert model.inputs[0] is image and get_metadata(model).tag == TAG
    for old, new in zip(before, own.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert caplog.messages == ["se_resnet18: without the file's classifier"]


def test_preprocessing_is_the_weights(pretrained, downloaded):
    inside = SEResNet18(weights=TAG, include_preprocessing=True, **LOGITS)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype("uint8")
    x = preprocess_input(pixels, model=pretrained)
    np.testing.assert_allclose(inside(pixels), pretrained(x), atol=1e-4)
    np.testing.assert_array_equal(preprocess_input(pixels, model=inside), pixels)
    caffe = Metadata("a", "b", "c", range=(0.0, 255.0), mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 2.0))
    model = CIFARResNet(8)
    set_metadata(model, caffe)
    expected = (pixels - np.float32([1, 2, 3])) / np.float32([1, 1, 2])
    np.testing.assert_allclose(preprocess_input(pixels, model=model), expected, rtol=1e-6)


@pytest.mark.thorough
def test_the_serving_signature_is_the_weights(tmp_path):
    keras.utils.set_random_seed(0)
    model = as_trained(CIFARResNet(8, classes=3))
    assert find_preprocessing(model) is None  # so that there is `serving_default` alone
    caffe = Metadata(
        "a", "b", "c", crop=1.0, range=(0.0, 255.0), mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 2.0),
        labels=("cat", "dog", "emu"),
    )  # fmt: skip
    set_metadata(model, caffe)
    folder = export_saved_model(model, tmp_path / "a")
    assert (folder / "assets" / "labels.txt").read_text().split() == ["cat", "dog", "emu"]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    serve = tf.saved_model.load(str(folder)).signatures["serve_uint8"]
    expected = model(preprocess_input(pixels, model=model)).numpy()
    assert expected.min() > 0.01 and expected.max() < 0.99  # else nothing could differ
    np.testing.assert_allclose(serve(image=pixels)["probabilities"], expected, atol=1e-5)
    assert find_class_names(model) == ["cat", "dog", "emu"]
    set_metadata(model, dataclasses.replace(caffe, labels=("cat", "dog")))
    assert find_class_names(model) is None


def test_a_model_that_is_not_ours():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert get_metadata(model) is None
    with pytest.raises(ValueError, match="`model` must be a network of keras_attn.applications"):
        set_metadata(model, Metadata("a", "b", "c"))


@pytest.mark.parametrize(
    "constructor, weights, message",
    [
        (SEResNet50, "imagenet21k", r"SEResNet50 there is 'imagenet', 'timm/legacy_seresnet50"),
        (ResNet18, "imagenet", r"For ResNet18 there is no public set; `keras-attn models --wei"),
        (
            SEResNet18,
            "hf://timm/seresnet50.ra2_in1k",
            "For SEResNet18 there is 'imagenet', 'timm/leg",
        ),
        (ResNet18, "none.weights.h5", r"the path to the weights file to be loaded.*none.weights"),
        (ResNet18, 7, r"Received: weights=7"),
    ],
)
def test_what_there_is_not(constructor, weights, message):
    with pytest.raises(
        ValueError, match=r"The `weights` argument should be either `None`.*" + message
    ):
        constructor(weights=weights)


@pytest.mark.parametrize(
    "constructor, kwargs, message",
    [
        (SEResNet50, {"geometry": "caffe"}, r"`geometry` must be 'torchvision' .*ra2_in1k was tr"),
        (ECAResNet50, {"geometry": "torchvision"}, r"`geometry` must be 'resnet_t' for weights='i"),
        (ResidualAttention56, {"learning": "naive"}, "`learning` must be 'residual' for weights="),
        (SEResNet50, {"attention": None}, "`attention` must be 'se' for weights='imagenet'"),
        (ResNet101, {"geometry": "torchvision"}, r"`geometry` must be 'keras' for weights='imag"),
    ],
)
def test_another_network_than_the_weights(constructor, kwargs, message):
    with pytest.raises(ValueError, match=message):
        constructor(weights="imagenet", **kwargs)


def test_a_constructor_shows_its_arguments():
    parameters = inspect.signature(SEResNet50).parameters
    assert parameters["weights"].default is None and parameters["geometry"].default == "caffe"
    assert next(iter(inspect.signature(CIFARResNet).parameters)) == "depth"


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """A folder as `keras_attn/weights/cifar10`, with one network that wasn't trained."""
    model = CIFARResNet(8, attention="se")
    path = tmp_path / "se_resnet8.weights.h5"
    model.save_weights(path)
    record = {
        "constructor": "CIFARResNet",
        "arguments": {"depth": 8, "attention": "se"},
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "recipe": "cifar10_se_resnet20",
        "command": "keras-attn train",
        "accuracy": 12.5,
        "calibration_error": 0.31,
        "images": 100,
        "epochs": 1,
        "seed": 0,
        "hardware": "a CPU",
        "date": "2026-11-21",
        "class_names": [f"class {i}" for i in range(10)],
        "preprocessing": {
            "mean": [0.4914, 0.4822, 0.4465],
            "std": [0.247, 0.2435, 0.2616],
            "range": [0, 1],
            "size": 32,
        },
    }
    (tmp_path / "se_resnet8.json").write_text(json.dumps(record))
    monkeypatch.setattr(choice, "SETS", tuple(cifar10_sets(tmp_path)))
    return model, path, record


def test_cifar10(cifar10, monkeypatch):
    trained, path, record = cifar10
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("KERAS_ATTN_MIRROR", "http://127.0.0.1:9")
    model = CIFARResNet(8, attention="se", weights="cifar10")
    for old, new in zip(trained.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    metadata = get_metadata(model)
    assert metadata.tag == "cifar10/se_resnet8" and metadata.top1 == 12.5
    assert metadata.labels == tuple(record["class_names"])
    assert "calibration error: 0.31; recipe: cifar10_se_resnet20" in metadata.note
    by_tag = CIFARResNet(8, weights="cifar10/se_resnet8")
    assert len(by_tag.weights) == len(trained.weights)
    for arguments in ({"depth": 8}, {"depth": 14, "attention": "se"}):
        with pytest.raises(ValueError, match="there is 'cifar10', 'cifar10/se_resnet8'"):
            CIFARResNet(weights="cifar10", **arguments)

    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DownloadError, match="is not the file that was published: its sha256"):
        CIFARResNet(8, attention="se", weights="cifar10")
    path.unlink()
    with pytest.raises(DownloadError, match="is missing. Install keras-attn anew"):
        CIFARResNet(8, attention="se", weights="cifar10")


def test_a_record_that_lacks_something(tmp_path, cifar10):
    record = {key: value for key, value in cifar10[2].items() if key != "seed"}
    (tmp_path / "se_resnet8.json").write_text(json.dumps(record))
    with pytest.raises(
        ValueError, match=r"se_resnet8.json is no record of weights: KeyError..seed"
    ):
        list(cifar10_sets(tmp_path))


def test_tables_of_positions_are_stretched(tmp_path, caplog):
    small = CIFARResNet(8, attention="aa", input_shape=(32, 32, 3))
    small.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in small.weights])
    small.save_weights(tmp_path / "aa.weights.h5")
    large = CIFARResNet(
        8, attention="aa", input_shape=(48, 48, 3), weights=tmp_path / "aa.weights.h5"
    )
    got, had = ({w.path: w.numpy() for w in each.weights} for each in (large, small))
    stretched = [path for path in got if got[path].shape != had[path].shape]
    assert len(stretched) == 2 * 2 and len(caplog.messages) == 4
    assert "stretched linearly from 31 to 47 rows" in caplog.text
    for path, array in got.items():
        if path not in stretched:
            np.testing.assert_array_equal(array, had[path])
            continue
        rows, old = np.linspace(0, 1, len(array)), np.linspace(0, 1, len(had[path]))
        for column in range(array.shape[1]):
            expected = np.interp(rows, old, had[path][:, column])
            np.testing.assert_allclose(array[:, column], expected, atol=1e-5)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_keras_files_with_another_classifier(tmp_path, suffix):
    old = CIFARResNet(8)
    path = tmp_path / f"a{suffix}"
    old.save_weights(path) if suffix == ".weights.h5" else old.save(path)
    new = CIFARResNet(8, classes=3)
    head = new.get_layer("predictions").get_weights()
    report = load_weights(new, path)
    assert report.kept == ("predictions/kernel", "predictions/bias")
    assert len(report.loaded) == len(new.weights) - 2
    for before, after in zip(head, new.get_layer("predictions").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    for before, after in zip(old.get_weights()[:-2], new.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(before, after)
    grey = CIFARResNet(8, include_top=False, input_shape=(32, 32, 1))
    report = load_weights(grey, path)
    assert report.changes == (
        "stem_conv/kernel adapted from 3 to 1 input channels",
        "without the file's classifier",
    )
    np.testing.assert_allclose(
        grey.get_weights()[0], old.get_weights()[0].sum(axis=2, keepdims=True), atol=1e-6
    )
    headless = tmp_path / "headless.weights.h5"
    grey.save_weights(headless)
    with pytest.raises(ValueError, match="The file lacks predictions"):
        CIFARResNet(8, input_shape=(32, 32, 1), weights=headless)


def test_metadata_is_what_json_gives_back():
    metadata = Metadata("a", "b", "c", labels=("x", "y"), changes=("z",))
    assert Metadata.from_dict(json.loads(json.dumps(metadata.as_dict()))) == metadata
    assert Metadata.from_dict({**metadata.as_dict(), "of the future": 1}) == metadata
    assert dataclasses.replace(metadata, tag="d") != metadata


def test_the_message_says_what_a_set_is_for():
    for arguments in ({"attention": "cbam"}, {"attention": "eca"}):
        with pytest.raises(ValueError, match=r"'cifar10' is for CIFARResNet\(depth=20, attention="):
            CIFARResNet(20, weights="cifar10", **arguments)
