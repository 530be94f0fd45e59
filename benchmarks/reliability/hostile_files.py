"""Files of weights that ask for more than they hold, or hold what no network takes.

`FILES` has a function for each, which writes it. Each is small, but for those that are nothing but
a hole on the disk.
"""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FILES: dict[str, Callable[[Path], Any]] = {}
GIB = 1 << 30
WEIGHTS = "model.weights.h5"


def hostile(name: str) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    """Enters a function that writes a hostile file under the file's name."""

    def enter(write: Callable[[Path], Any]) -> Callable[[Path], Any]:
        FILES[name] = write
        return write

    return enter


def write_safetensors(path: Path, header: bytes, size: int = 0, length: int | None = None) -> None:
    """A safetensors file whose numbers are a hole."""
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header) if length is None else length) + header)
        file.truncate(8 + len(header) + size)


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    """A tensor as the header of a safetensors file has it."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@hostile("names.safetensors")
def many_names(path: Path) -> None:
    names = {f"a_name_that_is_{i}": entry([1], 4 * i, 4 * i + 4) for i in range(40_000)}
    write_safetensors(path, json.dumps(names).encode(), 160_000)


@hostile("header.safetensors")
def long_header(path: Path) -> None:
    write_safetensors(path, b'{"a":"' + b"[" * 100, 90_000_000, 90_000_000)


@hostile("lists.safetensors")
def header_of_lists(path: Path) -> None:
    header = b'{"__metadata__": [' + b"[]," * 15_000_000 + b"0]}"
    write_safetensors(path, header)


@hostile("nested.safetensors")
def nested_header(path: Path) -> None:
    write_safetensors(path, b'{"a":' + b"[" * 500_000)


@hostile("huge.safetensors")
def huge_tensor(path: Path) -> None:
    header = json.dumps({"stem_conv/kernel": entry([GIB // 2], 0, 2 * GIB)}).encode()
    write_safetensors(path, header, 2 * GIB)


@hostile("number.safetensors")
def long_number(path: Path) -> None:
    shape = "9" * 2_000_000
    write_safetensors(path, f'{{"a":{{"dtype":"F32","shape":[{shape}]}}}}'.encode())


STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n("


def text(string: str) -> bytes:
    """The instruction of a pickle for a text."""
    return b"X" + struct.pack("<I", len(string)) + string.encode()


def number(value: int) -> bytes:
    """The instruction of a pickle for a number."""
    data = pickle.encode_long(value)
    return b"\x8a" + bytes([len(data)]) + data


def tensor(size: int, shape: list[int], strides: list[int]) -> bytes:
    """The instructions of a pickle for a tensor over all of a storage."""
    storage = STORAGE + number(size) + b"tQ"
    shapes = b"".join(b"(" + b"".join(map(number, each)) + b"t" for each in (shape, strides))
    return REBUILD + storage + number(0) + shapes + b"\x89)tR"


def write_pth(
    path: Path, value: bytes, numbers: bytes = bytes(4), compression: int = zipfile.ZIP_STORED
) -> None:
    """A `.pth` of the zip format with one entry, `w`."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}" + text("w") + value + b"s.")
        archive.writestr("a/data/0", numbers)


@hostile("stride0.pth")
def stride_0(path: Path) -> None:
    write_pth(path, tensor(1, [60_000, 60_000], [0, 0]))


@hostile("overlapping.pth")
def overlapping(path: Path) -> None:
    write_pth(path, tensor(40_000, [20_000, 20_000], [1, 1]), bytes(160_000))


@hostile("deflated.pth")
def deflated_storage(path: Path) -> None:
    size = GIB // 8
    write_pth(path, tensor(size, [size], [1]), bytes(4 * size), zipfile.ZIP_DEFLATED)


@hostile("deflated_pickle.pth")
def deflated_pickle(path: Path) -> None:
    write_pth(path, b"(" + b"]" * 20_000_000 + b"l", b"", zipfile.ZIP_DEFLATED)


@hostile("lists.pth")
def pickle_of_lists(path: Path) -> None:
    write_pth(path, b"(" + b"]" * 20_000_000 + b"l")


@hostile("state.pth")
def pickle_that_sets_state(path: Path) -> None:
    """Each tensor gets all of a large dict for its state."""
    state = b"}q\x01(" + b"".join(text(f"k{i}") + b"K\x01" for i in range(10_000)) + b"u0"
    one = tensor(1, [1], [1])
    write_pth(path, b"(" + state + (one + b"h\x01b") * 3_000 + b"t")


@hostile("copies.pth")
def pickle_that_copies(path: Path) -> None:
    """Each OrderedDict is made from the same long list."""
    pair = b"K\x01K\x02\x86"
    pairs = b"](" + (text("k") + b"K\x01\x86") * 1 + pair * 30_000 + b"eq\x010"
    wide = b"](" + b"".join(text(f"k{i}") + b"K\x01\x86" for i in range(10_000)) + b"eq\x010"
    copy = b"ccollections\nOrderedDict\nh\x01\x85R"
    write_pth(path, b"(" + pairs + wide + copy * 3_000 + b"t")


@hostile("hash.pth")
def pickle_with_an_endless_hash(path: Path) -> None:
    """A tuple of twice the same tuple of twice the same tuple ... for a key."""
    key = b")" + b"".join(b"q\x01h\x01\x86" for _ in range(40))
    write_pth(path, b"}" + key + b"K\x01s")


@hostile("collisions.pth")
def pickle_whose_keys_collide(path: Path) -> None:
    keys = b"".join(number(i * (2**61 - 1)) + b"K\x01" for i in range(1, 60_000))
    write_pth(path, b"}(" + keys + b"u")


@hostile("shape.pth")
def long_shape(path: Path) -> None:
    write_pth(path, tensor(1, [2**900] * 100_000, [0] * 100_000))


@hostile("deep.pth")
def deep_pickle(path: Path) -> None:
    write_pth(path, b"]" * 200_000 + b"a" * 199_999)


@hostile("text.pth")
def text_without_end(path: Path) -> None:
    """A text of 2 GiB, which is a hole."""
    with path.open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            file.write(pickle.dumps(part, protocol=2))
        file.write(b"\x80\x02X" + struct.pack("<I", 2**31 - 1))
        file.truncate(2 * GIB + 4096)


@hostile("old.pth")
def old_storage(path: Path) -> None:
    with path.open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            file.write(pickle.dumps(part, protocol=2))
        file.write(b"\x80\x02}" + text("w") + tensor(GIB // 2, [GIB // 2], [1]) + b"s.")
        file.write(pickle.dumps(["0"], protocol=2) + struct.pack("<q", GIB // 2))
        file.truncate(file.tell() + 2 * GIB)


@hostile("members.pth")
def many_members(path: Path) -> None:
    """A directory of a zip that names one member half a million times."""
    name = b"a/data.pkl"
    head = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0)
    one = struct.pack(
        "<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0
    )
    directory = (one + name) * 500_000
    start = len(head + name)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, len(directory), start, 0)
    path.write_bytes(head + name + directory + end)


def write_legacy(path: Path, fill: Callable[[h5py.Group], Any], names: Any = None) -> None:
    """A Keras 2 file of one layer, `a`, whose weight `fill` makes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"a"] if names is None else names
        group = file.create_group("a")
        group.attrs["weight_names"] = [b"a/kernel:0"]
        fill(group.create_group("a"))


def fill_value(group: h5py.Group, name: str = "kernel:0", gib: int = 4) -> None:
    """A data set that is all fill value."""
    group.create_dataset(name, (gib * GIB // 4,), "f4", chunks=(1 << 16,))


def deflated(group: h5py.Group, name: str = "kernel:0") -> None:
    """A data set of half a GiB of zeros, compressed."""
    data = group.create_dataset(name, (GIB // 8,), "f4", chunks=(GIB // 64,), compression=1)
    data[:] = 0


def deflated_chunk(group: h5py.Group, name: str = "kernel:0") -> None:
    """One number in a chunk of half a GiB."""
    data = group.create_dataset(
        name, (1,), "f4", maxshape=(None,), chunks=(GIB // 8,), compression=1
    )
    data[:] = 1


hostile("fill.h5")(lambda path: write_legacy(path, fill_value))
hostile("deflated.h5")(lambda path: write_legacy(path, deflated))
hostile("chunk.h5")(lambda path: write_legacy(path, deflated_chunk))
hostile("layer_names.h5")(lambda path: write_legacy(path, fill_value, [1, 2]))


@hostile("long_names.h5")
def names_of_one_text(path: Path) -> None:
    """Twenty thousand names, all of them the same text of a megabyte."""
    with h5py.File(path, "w") as file:
        text_type = h5py.string_dtype()
        names = np.array(["x" * 1_000_000] + ["y"] * 3_999, dtype=object)
        file.attrs.create("layer_names", names, dtype=text_type)
    data = bytearray(path.read_bytes())
    # Each of these is a length and the place of a text: all get the first one's.
    short = b"\x01\x00\x00\x00"
    first = data.find(struct.pack("<I", 1_000_000))
    if first >= 0:
        reference = bytes(data[first : first + 16])
        at = first + 16
        while data[at : at + 4] == short:
            data[at : at + 16] = reference
            at += 16
    path.write_bytes(data)


def write_keras3(path: Path, fill: Callable[[h5py.Group], Any], layer: str = "layers/conv2d"):
    """A `.weights.h5` with one layer."""
    with h5py.File(path, "w") as file:
        group = file.create_group(f"{layer}/vars")
        group.attrs["name"] = "stem_conv"
        fill(group)


hostile("fill.weights.h5")(lambda path: write_keras3(path, lambda group: fill_value(group, "0")))
hostile("deflated.weights.h5")(lambda path: write_keras3(path, lambda group: deflated(group, "0")))
hostile("head.weights.h5")(
    lambda path: write_keras3(path, lambda g: g.create_dataset("0", (64, GIB), "f4", chunks=True))
)


@hostile("groups.weights.h5")
def many_groups(path: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        for i in range(60_000):
            file.create_group(f"layers/{i}")


@hostile("deep.weights.h5")
def deep_groups(path: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        group: Any = file
        for _ in range(20_000):
            group = group.create_group("a")


@hostile("loop.weights.h5")
def groups_in_a_loop(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("layers")
        for name in ("a", "b", "c"):
            group[name] = group


def write_keras(path: Path, config: bytes, weights: bytes) -> None:
    """A `.keras` file, compressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", "{}")
        archive.writestr(WEIGHTS, weights)


@hostile("deflated.keras")
def deflated_keras(path: Path) -> None:
    write_keras(path, b"{}", bytes(GIB // 2))


@hostile("lists.keras")
def config_of_lists(path: Path) -> None:
    write_keras(path, b"[" + b"[]," * 20_000_000 + b"0]", b"")


@hostile("nested.keras")
def nested_config(path: Path) -> None:
    write_keras(path, b"[" * 200_000, b"")
