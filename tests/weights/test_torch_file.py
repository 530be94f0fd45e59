"""`.pth` files as PyTorch writes them, read without it; and those that would run code."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from helpers.paths import GOLDEN
from keras_attn.weights import read_tensors

FOLDER = GOLDEN / "torch_files"


@pytest.mark.parametrize("age", ["", "_old"])
@pytest.mark.parametrize("name", ["state", "views", "checkpoint"])
def test_what_pytorch_writes(name, age):
    with np.load(FOLDER / "expected.npz") as file:
        expected = {key.split(":")[1]: file[key] for key in file if key.startswith(name)}
    tensors = read_tensors(FOLDER / f"{name}{age}.pth")
    assert list(tensors) == list(expected)
    for key, array in expected.items():
        assert tensors[key].shape == array.shape
        np.testing.assert_array_equal(tensors[key].astype("float32"), array)
    dtypes = {key: array.dtype for key, array in tensors.items()}
    if name == "views":
        assert dtypes["half"] == "float16" and dtypes["bfloat16"] == "float32"
        assert dtypes["long"] == "int64" and dtypes["bool"] == "bool"


@pytest.mark.parametrize("age", ["", "_old"])
def test_a_pickled_module_is_refused_with_the_line_that_converts_it(age):
    message = r"nothing in it run: it asks for torch.nn.*weights_only=False.*module.*safetensors"
    with pytest.raises(ValueError, match=message):
        read_tensors(FOLDER / f"module{age}.pth")


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def write_zip(path, pickled, **records):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, data in records.items():
            archive.writestr(f"archive/data/{name.removeprefix('_')}", data)


@pytest.mark.parametrize("age", ["zip", "old", "old, in the header"])
def test_a_malicious_pickle_does_not_run(tmp_path, age):
    path, marker = tmp_path / "evil.pth", tmp_path / "it ran"
    evil = pickle.dumps({"weight": Evil(str(marker))}, protocol=2)
    if age == "zip":
        write_zip(path, evil)
    else:
        header = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
        parts = [pickle.dumps(part, protocol=2) for part in header]
        path.write_bytes(b"".join([*parts, evil] if age == "old" else [evil, *parts]))
    with pytest.raises(ValueError, match=r"nothing in it run: it asks for posix.mkdir"):
        read_tensors(path)
    assert not marker.exists()
    pickle.loads(evil)
    assert marker.exists()  # so the pickle was one that runs


# What a pickle can do with the names that it may use: `{}` is where the hand-written code goes.
STORAGE = (
    b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
)
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n("
TENSOR = REBUILD + STORAGE + b"K\x00K\x04\x85K\x01\x85\x89)tR"


def state_pickle(value):
    return b"\x80\x02}X\x01\x00\x00\x00w" + value + b"s."


def test_a_pickle_written_by_hand_is_read(tmp_path):
    """The second as PyTorch 0.3 writes a tensor."""
    old = b"ctorch._utils\n_rebuild_tensor\n(" + STORAGE + b"K\x01K\x02\x85K\x02\x85tR"
    write_zip(tmp_path / "b.pth", state_pickle(old), _0=struct.pack("<4f", 1, 2, 3, 4))
    assert read_tensors(tmp_path / "b.pth")["w"].tolist() == [2, 4]
    write_zip(tmp_path / "a.pth", state_pickle(TENSOR), _0=struct.pack("<4f", 1, 2, 3, 4))
    assert read_tensors(tmp_path / "a.pth")["w"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "value, message",
    [
        # `BUILD` gives a described tensor another shape, behind the first check.
        (TENSOR + b"}X\x05\x00\x00\x00shapeM\xff\xff\x85sb", "beyond its numbers|can't|cannot"),
        (TENSOR + b"}X\x06\x00\x00\x00offsetM\xff\xffsb", "beyond its numbers|cannot"),
        (REBUILD + STORAGE + b"K\x00M\xff\xff\x85K\x01\x85\x89)tR", "beyond its numbers"),
        (REBUILD + STORAGE + b"J\xff\xff\xff\xffK\x04\x85K\x01\x85\x89)tR", "can't be"),
        (REBUILD + STORAGE + b"K\x00K\x04\x85J\xff\xff\xff\xff\x85\x89)tR", "can't be"),
        (b"ctorch\nFloatStorage\nK\x01\x85R", "it calls FloatStorage"),
        (b"ctorch._utils\n_rebuild_parameter\n}X\x01\x00\x00\x00aK\x01sb", "it changes _rebuild"),
        (b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R", "it asks for builtins.eval"),
        (b"ccollections\nOrderedDict.fromkeys\n)R", "it asks for collections.OrderedDict.from"),
        (b"K\x01", "entries that are no tensors: w"),
    ],
)
def test_a_pickle_that_goes_beyond_tensors(tmp_path, value, message):
    write_zip(tmp_path / "a.pth", state_pickle(value), _0=struct.pack("<4f", 1, 2, 3, 4))
    with pytest.raises(ValueError, match=message):
        read_tensors(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["state.pth", "state_old.pth"])
def test_every_cut_and_many_flipped_bytes(tmp_path, name):
    """Cut anywhere, a file is refused; a flipped byte is found wherever a zip has a checksum."""
    data = (FOLDER / name).read_bytes()
    whole = read_tensors(FOLDER / name)
    path = tmp_path / "a.pth"
    for end in range(0, len(data) - 1, 97):
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match="no readable PyTorch file|was not read"):
            read_tensors(path)
    found = 0
    for place in range(0, len(data), 53):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        try:
            tensors = read_tensors(path)
        except ValueError:
            found += 1
            continue
        if name == "state.pth":  # what is not checked there isn't data
            for key, array in tensors.items():
                np.testing.assert_array_equal(array, whole[key])
    assert found > 10


def test_what_is_no_pytorch_file(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"not what it says")
    with pytest.raises(ValueError, match="was not read|no readable PyTorch file"):
        read_tensors(tmp_path / "a.pth")
    write_zip(tmp_path / "b.pth", pickle.dumps([1, 2], protocol=2))
    with pytest.raises(ValueError, match="no state dict but a list"):
        read_tensors(tmp_path / "b.pth")
    with zipfile.ZipFile(tmp_path / "c.pth", "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(ValueError, match="no data.pkl"):
        read_tensors(tmp_path / "c.pth")
