"""Weights are set all or not at all, whatever a file holds and wherever setting them fails."""

from __future__ import annotations

import warnings

import h5py
import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import layers

from helpers.marks import rest_thorough
from keras_attn.applications import CIFARResNet
from keras_attn.weights import Metadata, get_metadata, load_weights, set_metadata
from keras_attn.weights.assignment import all_or_nothing, assign_all


def network():
    x = image = keras.Input((None, None, 2))
    x = layers.Conv2D(3, 1, name="one")(x)
    x = layers.BatchNormalization(name="norm")(x)
    return keras.Model(image, layers.Conv2D(5, 1, name="two")(x))


def randomise(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) for w in model.weights])
    return model


def values(model):
    """Of all variables: weights, and an optimizer's."""
    return [np.array(variable.value) for variable in model.variables]


def assert_same(before, model):
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)


def refused(model, path, message):
    """By one line that names the file, and nothing is set."""
    before = values(model)
    with pytest.raises(ValueError, match=message) as caught:
        load_weights(model, path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert_same(before, model)


@pytest.mark.parametrize("kind", [RuntimeError, TypeError, MemoryError, RecursionError])
def test_keras_refusing_in_the_middle(tmp_path, monkeypatch, kind):
    """Of a network with a new classifier, a state and an optimizer, everything stays."""
    path = tmp_path / "a.weights.h5"
    randomise(CIFARResNet(8, classes=3), seed=1).save_weights(path)
    model = randomise(CIFARResNet(8))
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    begun = []

    def refuse(store):
        begun.append(not np.array_equal(model.get_weights()[0], first))
        raise kind("no\nmore")

    first = model.get_weights()[0]
    layer = model.get_layer("stage3_block1_bn2")
    monkeypatch.setattr(layer, "load_own_variables", refuse)
    refused(model, path, "was not loaded, nothing was set: ")
    assert any(begun)  # others had been set by then


def test_a_text_in_the_place_of_numbers(tmp_path):
    path = tmp_path / "a.weights.h5"
    network().save_weights(path)
    with h5py.File(path, "a") as file:
        del file["layers/conv2d_1/vars/0"]
        file["layers/conv2d_1/vars/0"] = "text"
    refused(randomise(network()), path, "is no readable Keras weights file")


@pytest.mark.parametrize("place", ["layers/conv2d", "layers/conv2d_1"])
@pytest.mark.parametrize(
    "value, message",
    [
        (np.float32("nan"), "kernel has 1 values not finite"),
        (np.float32("-inf"), "kernel has 1 values not finite"),
        (np.float64("1e300"), "kernel has 1 values not finite"),
        (np.complex64(1), "no real numbers"),
        (np.int32(1), "of integer numbers"),
        (np.bool_(True), "of boolean numbers"),
    ],
)
def test_values_that_no_kernel_has(tmp_path, place, value, message):
    path = tmp_path / "a.weights.h5"
    network().save_weights(path)
    with h5py.File(path, "a") as file:
        kernel = np.zeros(file[f"{place}/vars/0"].shape, value.dtype)
        kernel[0, 0, 0, 0] = value
        del file[f"{place}/vars/0"]
        file[f"{place}/vars/0"] = kernel
    refused(randomise(network()), path, message)


@pytest.mark.parametrize(
    "value, message",
    [
        (np.float32("nan"), "two/kernel has 1 values not finite"),
        (np.float64("1e300"), "two/kernel has 1 values not finite"),
        (np.int32(1), "two/kernel takes real numbers. Received: int32"),
        (np.bool_(True), "two/kernel takes real numbers. Received: bool"),
    ],
)
def test_values_that_no_kernel_has_by_name(tmp_path, value, message):
    """In a file that is read tensor by tensor; the last one is wrong."""
    model, path = network(), tmp_path / "a.safetensors"
    tensors = {weight.path: weight.numpy() for weight in model.weights}
    kernel = np.zeros(tensors["two/kernel"].shape, value.dtype)
    kernel[0, 0, 2, 4] = value
    safetensors.numpy.save_file({**tensors, "two/kernel": kernel}, path)
    refused(randomise(model), path, message)


def save_legacy(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's advice to write .keras
        model.save(path)


def save_torch(model, path):
    import torch

    torch.save({w.path: torch.from_numpy(w.numpy().copy()) for w in model.weights}, path)


WRITERS = [
    ("a.weights.h5", lambda model, path: model.save_weights(path)),
    ("a.keras", lambda model, path: model.save(path)),
    ("a.h5", save_legacy),
    (
        "a.safetensors",
        lambda model, path: safetensors.numpy.save_file(
            {weight.path: weight.numpy() for weight in model.weights}, path
        ),
    ),
    pytest.param("a.pth", save_torch, marks=pytest.mark.backend, id="torch"),
]


@pytest.mark.parametrize("name, write", rest_thorough(WRITERS))
def test_flipped_bytes(tmp_path, name, write):
    """Each file is read into all weights, or refused by our error with none of them set."""
    path = tmp_path / name
    theirs = randomise(network())
    write(theirs, path)
    whole = path.read_bytes()
    model, places = network(), range(0, len(whole), max(1, len(whole) // 80))
    read = 0
    for place in places:
        data = bytearray(whole)
        data[place] ^= 0xFF
        path.write_bytes(data)
        for variable in model.variables:
            variable.assign(np.full(variable.shape, 9.0))
        try:
            load_weights(model, path)
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            assert all((array == 9).all() for array in values(model)), place
        else:
            read += 1
            arrays = values(model)
            assert all(np.isfinite(array).all() for array in arrays)
            # A byte belongs to one number at most.
            pairs = zip(arrays, values(theirs), strict=True)
            assert sum(np.count_nonzero(ours != other) for ours, other in pairs) <= 1, place
    assert 0 < read < len(places)


@pytest.mark.parametrize("attention", [None, "cbam", "aa", "non_local"])
@pytest.mark.thorough
def test_what_model_save_writes_as_h5(tmp_path, attention):
    """Into the same network, one with another classifier, and not into a deeper one."""
    path = tmp_path / "a.h5"
    arguments = {"attention": attention, "input_shape": (32, 32, 3)}
    model = randomise(CIFARResNet(8, **arguments))
    save_legacy(model, path)
    other = CIFARResNet(8, **arguments)
    assert len(load_weights(other, path).loaded) == len(model.weights)
    assert_same(values(model), other)
    new_head = CIFARResNet(8, weights=path, classes=3, **arguments)
    np.testing.assert_array_equal(new_head.get_weights()[0], model.get_weights()[0])
    refused(CIFARResNet(14, **arguments), path, "was not loaded: .* The file lacks: stage1_block2")


def test_the_h5_of_a_whole_model_keeps_its_metadata(tmp_path):
    model = CIFARResNet(8)
    set_metadata(model, Metadata("cats", "CIFARResNet", "trained here", size=32))
    save_legacy(model, tmp_path / "a.h5")
    metadata = get_metadata(CIFARResNet(8, weights=tmp_path / "a.h5"))
    assert (metadata.tag, metadata.source, metadata.size) == ("cats", "trained here", 32)


def test_a_keras_2_file_by_the_new_name(tmp_path):
    """`.weights.h5` was the name of such files, too."""
    model = randomise(network())
    save_legacy(model, tmp_path / "a.h5")
    path = (tmp_path / "a.h5").rename(tmp_path / "a.weights.h5")
    other = network()
    load_weights(other, path)
    assert_same(values(model), other)


@pytest.mark.parametrize("kind", [ValueError, MemoryError, KeyboardInterrupt])
def test_setting_that_fails_on_the_way(monkeypatch, kind):
    """What was set is put back, the one that failed among it."""
    model = randomise(network())
    before = values(model)
    pairs = [(weight, np.zeros(weight.shape, "float32")) for weight in model.weights]
    last = model.weights[-1]
    assign, calls = last.assign, []

    def half(value):
        assign(value)
        calls.append(value)
        if len(calls) == 1:
            raise kind

    monkeypatch.setattr(last, "assign", half)
    with pytest.raises(kind):
        assign_all(pairs)
    assert_same(before, model)


def test_all_or_nothing():
    model = randomise(network())
    model.compile("adam", "mse")
    before = values(model)
    with pytest.raises(KeyboardInterrupt), all_or_nothing(model):
        for variable in model.variables:
            variable.assign(np.ones(variable.shape, variable.dtype))
        raise KeyboardInterrupt
    assert_same(before, model)
    with all_or_nothing(model):
        model.weights[0].assign(np.ones(model.weights[0].shape))
    assert (values(model)[0] == 1).all()
