"""Every tensor used once, every weight set once, or an error that names them and nothing set."""

from __future__ import annotations

import importlib
import json
import struct

import h5py
import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import layers

from helpers.network_checks import cut
from helpers.oracles.random_state import random_image, random_state
from keras_attn.applications import ResNet50, resnet
from keras_attn.weights import Table, convert, load_weights, read_tensors
from keras_attn.weights.adaptation import adapt_input_channels
from keras_attn.weights.sources import NAMINGS, SETS

NAMING = Table(
    "a source",
    (
        ("conv{c}", "body.{c-1}.conv"),
        ("bn", "body.bn"),
        ("sum/kernel", ("a.kernel", "b.kernel"), np.add),
        ("predictions", "fc"),
    ),
    marks=("body.0.conv.weight",),
)


def network(classes=7, channels=3, top=True):
    x = image = keras.Input((None, None, channels))
    x = layers.Conv2D(5, 3, use_bias=False, name="conv1")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.Conv2D(4, 1, name="conv2")(x)
    x = layers.Dense(4, use_bias=False, name="sum")(x)
    if top:
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.Dense(classes, name="predictions")(x)
    return keras.Model(image, x, name="mine")


def tensors():
    shapes = {
        "body.0.conv.weight": (5, 3, 3, 3),
        "body.bn.weight": (5,),
        "body.bn.bias": (5,),
        "body.bn.running_mean": (5,),
        "body.bn.running_var": (5,),
        "body.bn.num_batches_tracked": (),
        "body.1.conv.weight": (4, 5, 1, 1),
        "body.1.conv.bias": (4,),
        "a.kernel": (4, 4),
        "b.kernel": (4, 4),
        "fc.weight": (7, 4),
        "fc.bias": (7,),
    }
    return random_state(shapes)


def test_all_of_it():
    model, source = network(), tensors()
    report = convert(model, source, NAMING)
    assert set(report.loaded) == {weight.path for weight in model.weights}
    assert report.kept == report.unused == report.changes == ()
    got = {weight.path: weight.numpy() for weight in model.weights}
    kernel = source["body.0.conv.weight"]
    np.testing.assert_array_equal(got["conv1/kernel"], kernel.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(got["bn/moving_variance"], source["body.bn.running_var"])
    np.testing.assert_array_equal(got["sum/kernel"], source["a.kernel"] + source["b.kernel"])
    np.testing.assert_array_equal(got["predictions/kernel"], source["fc.weight"].T)


def dropped(source):
    del source["body.bn.running_mean"]


def left_over(source):
    source["body.2.conv.weight"] = source["body.1.conv.weight"]


def renamed(source):
    source["body.1.conv.gain"] = source.pop("body.1.conv.weight")


def misshaped(source):
    source["a.kernel"] = source["a.kernel"][:3]


def transposed(source):
    source["body.0.conv.weight"] = source["body.0.conv.weight"].transpose(1, 0, 2, 3)


@pytest.mark.parametrize(
    "change, message",
    [
        (dropped, r"The file lacks: body.bn.running_mean \(for bn/moving_mean\)\."),
        (left_over, r"The network has no use for: body.2.conv.weight \[4, 5, 1, 1\]\."),
        (renamed, r"lacks: body.1.conv.weight .* no use for: body.1.conv.gain \[4, 5, 1, 1\]"),
        (misshaped, r"shape: a.kernel \[3, 4\], b.kernel \[4, 4\] for sum/kernel \[4, 4\]"),
        (transposed, r"shape: body.0.conv.weight \[3, 5, 3, 3\] for conv1/kernel \[3, 3, 3, 5\]"),
    ],
)
def test_what_does_not_add_up_is_named_and_nothing_set(change, message):
    model, source = network(), tensors()
    before = model.get_weights()
    change(source)
    with pytest.raises(ValueError, match="not those of 'mine'; nothing was set.*" + message):
        convert(model, source, NAMING)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_tensor_that_two_weights_need_and_a_weight_without_a_name():
    lines = (("conv{c}/kernel", "body.0.conv.weight"), *NAMING.lines[1:])
    with pytest.raises(ValueError, match="Needed more than once: body.0.conv.weight"):
        convert(network(), tensors(), Table("a source", lines, ()))
    with pytest.raises(ValueError, match="has no name for: bn/gamma, bn/beta, .* use for: body.bn"):
        lines = (NAMING.lines[0], *NAMING.lines[2:])
        convert(network(), tensors(), Table("a source", lines, ()))


def test_a_name_that_is_twice_in_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    entry = '{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'
    header = f'{{"w": {entry}, "w": {entry}}}'.encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(ValueError, match="has names twice: w"):
        read_tensors(path)


def test_safetensors_and_its_damages(tmp_path):
    path, source = tmp_path / "a.safetensors", tensors()
    safetensors.numpy.save_file({f"module.{key}": each for key, each in source.items()}, path)
    read = read_tensors(path)
    assert set(read) == set(source)
    for key, array in source.items():
        np.testing.assert_array_equal(read[key], array)
    data = path.read_bytes()
    for end in (0, 4, 8, 100, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match="no readable safetensors file"):
            read_tensors(path)
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\x80\x3f\x20\xc0")
    assert read_tensors(path)["w"].tolist() == [1.0, -2.5]


def test_other_classes_no_classifier_other_channels():
    source = tensors()
    model = network(classes=3)
    head = model.get_layer("predictions").get_weights()
    report = convert(model, source, NAMING)
    assert report.kept == ("predictions/kernel", "predictions/bias")
    assert report.changes == ("a new classifier of 3 classes, where the file has 7",)
    for old, new in zip(head, model.get_layer("predictions").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)

    report = convert(network(top=False), source, NAMING)
    assert report.unused == ("fc.weight", "fc.bias")
    assert report.changes == ("without the file's classifier",)

    grey, rgb = network(channels=1), network()
    report = convert(grey, source, NAMING)
    assert report.changes == ("conv1/kernel adapted from 3 to 1 input channels",)
    convert(rgb, source, NAMING)
    x = random_image(5, 5)[..., :1]
    np.testing.assert_allclose(grey(x), rgb(np.repeat(x, 3, axis=-1)), atol=1e-5)


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_channels_by_hand(channels):
    kernel = np.arange(12.0).reshape(1, 2, 3, 2)
    adapted = adapt_input_channels(kernel, channels)
    for i in range(channels):
        np.testing.assert_allclose(adapted[:, :, i], kernel[:, :, i % 3] * 3 / channels)


def test_keras_applications(tmp_path, monkeypatch):
    """Its own ResNet-50, cut, with random weights, in a file of Keras 2's format."""
    resnet = importlib.import_module("keras.src.applications.resnet")  # the public one is whole

    def stacks(x):
        for filters, blocks, strides, name in ((64, 1, 1, 2), (128, 2, 2, 3), (256, 1, 2, 4)):
            x = resnet.stack_residual_blocks_v1(x, filters, blocks, strides, name=f"conv{name}")
        return resnet.stack_residual_blocks_v1(x, 512, 1, name="conv5")

    theirs = resnet.ResNet(
        stacks,
        preact=False,
        use_bias=True,
        weights=None,
        input_shape=(None, None, 3),
        include_top=False,
        pooling="avg",
    )
    state = random_state({weight.path: tuple(weight.shape) for weight in theirs.weights})
    theirs.set_weights([state[weight.path] for weight in theirs.weights])
    state["predictions/kernel"] = np.zeros((2048, 1000), "float32")
    state["predictions/bias"] = np.zeros(1000, "float32")
    path = tmp_path / "resnet.h5"
    write_keras2(path, state)

    ours = cut_resnet50(monkeypatch)
    report = load_weights(ours, path)
    assert report.changes == ("without the file's classifier",)
    for size in ((64, 64), (107, 75)):
        image = random_image(*size)  # theirs takes BGR
        expected = theirs(image[..., ::-1])
        np.testing.assert_allclose(ours(image), expected, rtol=0, atol=1e-4)


def write_keras2(path, state):
    with h5py.File(path, "w") as file:
        by_layer = {}
        for name, array in state.items():
            by_layer.setdefault(name.split("/")[0], []).append(name)
            file[f"{name.split('/')[0]}/{name}:0"] = array
        file.attrs["layer_names"] = [layer.encode() for layer in by_layer]
        for layer, names in by_layer.items():
            file[layer].attrs["weight_names"] = [f"{name}:0".encode() for name in names]


def test_a_file_of_keras_2_that_points_elsewhere(tmp_path):
    state = {"a/kernel": np.ones(3, "float32")}
    write_keras2(tmp_path / "a.h5", state)
    write_keras2(tmp_path / "b.h5", state)
    assert read_tensors(tmp_path / "a.h5")["a/kernel"].tolist() == [1, 1, 1]
    with h5py.File(tmp_path / "b.h5", "a") as file:
        del file["a/a/kernel:0"]
        file["a/a/kernel:0"] = h5py.ExternalLink(str(tmp_path / "a.h5"), "/a/a/kernel:0")
    with pytest.raises(ValueError, match="a/kernel:0 is missing, or a link"):
        read_tensors(tmp_path / "b.h5")
    (tmp_path / "c.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:500])
    with pytest.raises(ValueError, match="no readable Keras 2 weights file"):
        read_tensors(tmp_path / "c.h5")


def cut_resnet50(monkeypatch):
    monkeypatch.setattr(resnet, "RESNETS", cut(resnet.RESNETS, (1, 2, 1, 1)))
    return ResNet50(geometry="keras", include_top=False, pooling="avg", input_shape=(None, None, 3))


@pytest.mark.slow
def test_keras_applications_whole(tmp_path):
    theirs = keras.applications.ResNet50(weights=None, classifier_activation=None)
    state = random_state({weight.path: tuple(weight.shape) for weight in theirs.weights})
    theirs.set_weights([state[weight.path] for weight in theirs.weights])
    write_keras2(tmp_path / "resnet.h5", state)
    ours = ResNet50(weights=tmp_path / "resnet.h5", classifier_activation=None)
    image = random_image(224, 224)
    np.testing.assert_allclose(ours(image), theirs(image[..., ::-1]), rtol=0, atol=1e-4)


def test_the_table_of_sets():
    tags = [each.metadata.tag for each in SETS]
    assert len(set(tags)) == len(tags)
    for each in SETS:
        assert each.naming in (None, *NAMINGS)
        assert each.metadata.sha256 == each.file.sha256
    defaults = [
        (each.metadata.network, each.arguments.get("variant")) for each in SETS if each.is_default
    ]
    assert len(set(defaults)) == len(defaults)
