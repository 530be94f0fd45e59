"""What a file may ask for is measured before memory is taken: refused at once, by its name."""

from __future__ import annotations

import json
import pickle
import struct
import tracemalloc
import zipfile

import h5py
import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import layers

from keras_attn.weights import load_weights, read_tensors
from keras_attn.weights.formats import torch_pickle
from keras_attn.weights.formats.keras_archive import check_keras_archive
from keras_attn.weights.formats.reading import MOST_JSON
from keras_attn.weights.formats.tensors import describe_tensors


def network():
    x = image = keras.Input((None, None, 2))
    x = layers.Conv2D(3, 1, name="one")(x)
    return keras.Model(image, layers.Dropout(0.5)(x))


def refused(path, message, read=read_tensors):
    """In little memory, by an error that names the file in one line."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


STORAGE = (
    b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
)
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE
LONG = b"J\xff\xff\xff\x0f"  # 268 million
TENSOR = REBUILD + b"K\x00K\x04\x85K\x01\x85\x89)tR"


@pytest.mark.parametrize(
    "value, message",
    [
        (REBUILD + b"K\x00" + LONG + b"\x85K\x00\x85\x89)tR", "268435455 numbers, and its numbers"),
        (REBUILD + b"K\x00(" + b"K\x02" * 40 + b"t(" + b"K\x00" * 40 + b"t\x89)tR", "can't be"),
        (b"}" + b")" + b"q\x01h\x01\x86" * 60 + b"K\x01s", "a key that is neither a text nor a"),
        (b"}\x8a\x09" + b"\xff" * 8 + b"\x0fK\x01s", "a key that is neither a text nor a number"),
        (b"(" + b"]" * 60_000 + b"t", "more than 50000 instructions"),
        (
            b"]("
            + b"K\x01K\x02\x86" * 9_000
            + b"eq\x01"
            + b"ccollections\nOrderedDict\nh\x01\x85R",
            "has a name twice",
        ),
        (b"X\xff\xff\xff\x7fa", "more than 16777216 bytes"),
        (b"}(K\x01K\x01K\x01K\x01u", "has a name twice"),
        (b"\x8f", "an instruction of no tensor's"),
        (TENSOR + b"}b", "it changes Tensor"),
    ],
)
def test_pickles_that_grow(tmp_path, monkeypatch, value, message):
    monkeypatch.setattr(torch_pickle, "MOST_STEPS", 50_000)
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}X\x01\x00\x00\x00w" + value + b"s.")
        archive.writestr("a/data/0", bytes(16))
    refused(path, message)


@pytest.mark.slow
def test_the_most_instructions_of_a_pickle(tmp_path):
    """As above, where the bound is."""
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}X\x01\x00\x00\x00w(" + b"]" * 1_100_000 + b"ts.")
    refused(path, "more than 1000000 instructions")


def test_a_compressed_torch_file(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}X\x01\x00\x00\x00w" + TENSOR + b"s.")
        archive.writestr("a/data/0", bytes(16))
    refused(path, "it is compressed, which PyTorch's files are not")


def test_an_ordered_dict_of_python_2(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        pair = b"](X\x01\x00\x00\x00w" + TENSOR + b"e"
        archive.writestr("a/data.pkl", b"\x80\x02ccollections\nOrderedDict\n](" + pair + b"e\x85R.")
        archive.writestr("a/data/0", struct.pack("<4f", 1, 2, 3, 4))
    assert read_tensors(path)["w"].tolist() == [1, 2, 3, 4]


def write_safetensors(path, header, size=0, length=None):
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header) if length is None else length) + header)
        file.truncate(8 + len(header) + size)


def entry(*shape, begin=0, end=4, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "header, message",
    [
        ({f"name {i}": entry(0, end=0) for i in range(11_000)}, "has 11000 tensors, more than"),
        ({"a": entry(1), "b": entry(1)}, "'b' has other bytes"),  # the same bytes
        ({"a": entry(2**40, end=2**42)}, "its tensors have 4398046511104 bytes, and the file 4"),
        ({"a": entry(-1, -1)}, "is none of a tensor"),
        ({"a": entry(*[1] * 40)}, "has other bytes"),
        ({"a": entry(1, dtype="C64")}, "numbers of an unknown kind, C64"),
        ({"a": [1]}, "no readable safetensors file"),
        ([1], "no readable safetensors file"),
        ({"a" * 2000: entry(1)}, "is none of a tensor"),
    ],
)
def test_headers_of_safetensors(tmp_path, header, message):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, json.dumps(header).encode(), 4)
    refused(path, message)


def test_long_and_deep_headers(tmp_path):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, b"{", MOST_JSON * 2, MOST_JSON + 1)
    refused(path, f"its header has {MOST_JSON + 1} bytes")
    write_safetensors(path, b'{"a":' + b"[" * 100_000)
    refused(path, "maximum recursion depth")
    write_safetensors(path, b'{"a":' + b"9" * 10_000)
    refused(path, "no readable safetensors file")


def test_a_large_tensor_is_compared_before_it_is_read(tmp_path):
    """The file is 8 GiB of hole; the second tensor is never read, as the network has no use."""
    path = tmp_path / "a.safetensors"
    names = {
        "one/kernel": entry(2**31, end=2**33),
        "one/bias": entry(3, begin=2**33, end=2**33 + 12),
    }
    write_safetensors(path, json.dumps(names).encode(), 2**33 + 12)
    refused(path, r"one/kernel \[2147483648\]", lambda path: load_weights(network(), path))
    assert describe_tensors(path)["one/kernel"].shape == (2**31,)


def write_keras2(path, fill, names=(b"a",)):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = list(names)
        file.create_group("a").attrs["weight_names"] = [b"a/kernel:0"]
        fill(file["a"], "a/kernel:0")


def write_keras3(path, fill):
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.attrs["name"] = "one"
        fill(group, "0")


def fill_value(group, name):
    group.create_dataset(name, (2**36,), "f4", chunks=(1024,))


def not_allocated(group, name):
    group.create_dataset(name, (2**36,), "f4")


def deflated(group, name):
    group.create_dataset(name, data=np.zeros(1000, "f4"), compression=9)


def elsewhere(group, name):
    group.create_dataset(name, (10,), "f4", external=[("/etc/passwd", 0, 40)])


def virtual(group, name):
    layout = h5py.VirtualLayout((10,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", (10,))
    group.create_virtual_dataset(name, layout)


def texts(group, name):
    group[name] = ["a", "b"]


def compound(group, name):
    group[name] = np.zeros(3, "c8")


def a_group(group, name):
    group.create_group(name)


@pytest.mark.parametrize("write", [write_keras2, write_keras3])
@pytest.mark.parametrize(
    "fill, message",
    [
        (fill_value, "compressed or in chunks"),
        (not_allocated, "is not in the file"),
        (deflated, "compressed or in chunks.*h5repack"),
        (elsewhere, "in another file"),
        (virtual, "in chunks"),
        (texts, "no real numbers"),
        (compound, "no real numbers"),
        (a_group, "is no array|has no attribute"),
    ],
)
def test_data_sets_that_are_not_all_in_the_file(tmp_path, write, fill, message):
    keras3 = write is write_keras3
    path = tmp_path / ("a.weights.h5" if keras3 else "a.h5")
    write(path, fill)
    refused(path, message, lambda path: load_weights(network(), path))
    if not keras3:
        refused(path, message)
        return
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(path, "model.weights.h5")
    refused(tmp_path / "a.keras", message, lambda path: load_weights(network(), path))
    if fill is not a_group:
        refused(tmp_path / "a.keras", message, check_keras_archive)


@pytest.mark.parametrize("where", ["optimizer/vars", "layers/dropout/seed_generator/vars"])
def test_what_is_beside_the_weights(tmp_path, where):
    """An optimizer's state is not read; a random generator's is small."""
    path = tmp_path / "a.weights.h5"
    model = network()
    model.compile("adam", "mse")
    model.save_weights(path)
    with h5py.File(path, "a") as file:
        if where in file:
            del file[where]
        file.create_group(where)["0"] = np.ones(1000, "f4")
    if where.startswith("optimizer"):
        other = network()
        other.compile("adam", "mse")
        state = [variable.numpy() for variable in other.optimizer.variables]
        load_weights(other, path)
        np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
        after = [variable.numpy() for variable in other.optimizer.variables]
        assert all((a == b).all() for a, b in zip(state, after, strict=True))
    else:
        refused(path, "no state of a random generator", lambda path: load_weights(model, path))


def test_groups_without_end(tmp_path):
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layers")["layers"] = file["/"]
    refused(path, "deeper than", lambda path: load_weights(network(), path))
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.SoftLink("/")
    refused(path, "is missing, or a link", lambda path: load_weights(network(), path))


def test_names_that_point_to_one_text(tmp_path):
    """Then the names are those that the groups have."""
    path = tmp_path / "a.h5"
    write_keras2(path, lambda group, name: group.create_dataset(name, data=np.ones(3, "f4")))
    with h5py.File(path, "a") as file:
        file["a"]["more"] = np.zeros(1 << 23, "f4")
        del file["a"]["more"]
        names = np.array(["a"] + ["b"] * 3000, dtype=object)
        file.attrs.create("layer_names", names, dtype=h5py.string_dtype())
    assert list(read_tensors(path)) == ["a/kernel"]


@pytest.mark.parametrize("names", [[1, 2], "a", [], [b"\xff"]])
def test_names_that_are_none(tmp_path, names):
    path = tmp_path / "a.h5"
    write_keras2(path, fill_value)
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = names
    with pytest.raises(ValueError, match="a.h5"):
        load_weights(network(), path)


@pytest.mark.parametrize(
    "config, weights, message",
    [
        (b"{}", bytes(1 << 25), "it unpacks to 33554434 bytes, more than"),
        (b"[" * 100_000, b"", "maximum recursion depth"),
        (b"[" + b"[]," * (MOST_JSON // 3) + b"0]", b"", "bytes, more than"),
    ],
)
def test_archives(tmp_path, config, weights, message):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights)
    refused(path, message, check_keras_archive)


def test_a_directory_without_end(tmp_path):
    path = tmp_path / "a.pth"
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 5_000_000, 0, 0)
    path.write_bytes(bytes(5_000_000) + end)
    refused(path, "its directory has 5000000 bytes")
    with zipfile.ZipFile(path.with_suffix(".keras"), "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"")
    refused(path.with_suffix(".keras"), "no readable Keras", check_keras_archive)


def test_a_repacked_keras_file_is_read(tmp_path):
    """Zipped anew, as tools do."""
    model, other = network(), network()
    model.save(tmp_path / "a.keras")
    with (
        zipfile.ZipFile(tmp_path / "a.keras") as source,
        zipfile.ZipFile(tmp_path / "b.keras", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    load_weights(other, tmp_path / "b.keras")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_pytorchs_and_safetensors_own_dtypes_are_read(tmp_path):
    arrays = {
        name: np.arange(6).reshape(2, 3).astype(name) for name in ("uint16", "uint64", "bool")
    }
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors")
    for name, array in read_tensors(tmp_path / "a.safetensors").items():
        assert array.dtype == name and (array == arrays[name]).all()
    assert pickle.HIGHEST_PROTOCOL == 5  # a new one may have new instructions
