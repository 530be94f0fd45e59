"""Reading PyTorch's `.pth` without PyTorch: tensors only, and nothing in the file is run.

A `.pth` is a pickle beside raw numbers: see `torch_pickle`. The zip format (PyTorch 1.6 and later)
and the older one, a row of pickles, are both read. Facts of the formats: `torch.serialization` of
PyTorch 2.13.
"""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_attn.weights.formats.reading import (
    MIB,
    MOST_EXPANSION,
    MOST_NAME,
    MOST_TENSORS,
    SPARE,
    first_line,
    open_zip,
    reading,
)
from keras_attn.weights.formats.stored_tensor import StoredTensor, widened
from keras_attn.weights.formats.torch_pickle import MOST_BYTES, Storage, Tensor, TensorPickle

OLD_MAGIC = 0x1950A86A20F9469CFC6C
STATE_KEYS = ("state_dict", "model", "net")
UNREADABLE = "is no readable PyTorch file"

CONVERT = (
    "In an environment with PyTorch, and only if you trust the file, this line writes one that can "
    'be read: import torch, safetensors.torch as s; f = torch.load("{name}", map_location="cpu", '
    'weights_only=False); s.save_file({{k: v.contiguous() for k, v in f.get("state_dict", f)'
    '.items()}}, "{stem}.safetensors")'
)


@dataclass
class _Region:
    """Where the numbers of a storage lie; in a zip their CRC-32 is compared once."""

    start: int
    size: int
    crc: int | None = None

    def check(self, file: IO[bytes]) -> None:
        if self.crc is None:
            return
        file.seek(self.start)
        crc, left = 0, self.size
        while left and (piece := file.read(min(left, MIB))):
            crc, left = zlib.crc32(piece, crc), left - len(piece)
        if left or crc != self.crc:
            raise OSError("its numbers have another CRC-32, the file is cut or damaged")
        self.crc = None


def describe_torch_file(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a `.pth` file, still in it: a state dict, bare or in a training checkpoint.

    Args:
        path: The file.

    Returns:
        Name -> tensor, in the file's order. bfloat16 becomes float32.

    Raises:
        ValueError: If the file is damaged, holds no state dict, or asks for anything but tensors;
            what it asks for isn't run, and the message has the line that converts it.
    """
    with reading(path, UNREADABLE):
        try:
            described, regions, is_big = _read(path)
        except pickle.UnpicklingError as error:
            convert = CONVERT.format(name=path.name, stem=path.name.split(".")[0])
            raise ValueError(
                f"{path} was not read, and nothing in it run: {first_line(error)}. {convert}"
            ) from error
        _check_sizes(described.values(), regions, path.stat().st_size)
        byteorder = ">" if is_big else "<"
        return {
            name: _stored(path, tensor, regions[tensor.storage], byteorder)
            for name, tensor in described.items()
        }


def _read(path: Path) -> tuple[dict[str, Tensor], dict[Storage, _Region], bool]:
    """The tensors, where their numbers are, and whether these have the other byte order."""
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            return _read_zip(path)
        file.seek(0)
        return _read_old(file)


def _read_zip(path: Path) -> tuple[dict[str, Tensor], dict[Storage, _Region], bool]:
    with open_zip(path) as archive, path.open("rb") as file:
        members = {member.filename: member for member in archive.infolist()}
        tops = [name for name in members if name.endswith("data.pkl") and name.count("/") <= 1]
        if len(tops) != 1 or members[tops[0]].file_size > MOST_BYTES:
            raise zipfile.BadZipFile("it has no data.pkl, or several, or a huge one")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
            raise zipfile.BadZipFile("it is compressed, which PyTorch's files are not")
        top = tops[0].removesuffix("data.pkl")
        is_big = False
        if f"{top}byteorder" in members:
            with archive.open(f"{top}byteorder") as order:
                is_big = order.read(8) == b"big"
        machine = TensorPickle(archive.open(tops[0]))
        described = _state_dict(machine.load())
        regions: dict[Storage, _Region] = {}
        for tensor in described.values():
            if tensor.storage not in regions:
                member = members[f"{top}data/{tensor.storage.key}"]
                regions[tensor.storage] = _region_of(file, member)
        return described, regions, is_big


def _region_of(file: IO[bytes], member: zipfile.ZipInfo) -> _Region:
    """Where a member's numbers begin: behind a header of its own."""
    file.seek(member.header_offset)
    header = file.read(30)
    if header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("its directory points elsewhere")
    name, extra = struct.unpack("<HH", header[26:])
    return _Region(member.header_offset + 30 + name + extra, member.file_size, member.CRC)


def _read_old(file: IO[bytes]) -> tuple[dict[str, Tensor], dict[Storage, _Region], bool]:
    machine = TensorPickle(file)
    if machine.load() != OLD_MAGIC or machine.load() != 1001:
        raise OSError("it is neither a zip nor what PyTorch wrote before")
    is_big = not machine.load().get("little_endian", True)
    described = _state_dict(machine.load())
    regions: dict[Storage, _Region] = {}
    for key in map(str, machine.load()):
        storage = machine.storages[key]
        size = int.from_bytes(file.read(8), "big" if is_big else "little", signed=True)
        if size != storage.size:
            raise OSError(f"storage {key} has another size than its tensors say")
        regions[storage] = _Region(file.tell(), size * _width(storage.dtype))
        file.seek(regions[storage].size, 1)
    return described, regions, is_big


def _state_dict(loaded: Any) -> dict[str, Tensor]:
    """The state dict in what was unpickled, be it in a training checkpoint."""
    for key in STATE_KEYS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded:
        raise OSError(f"it holds no state dict but a {type(loaded).__name__}")
    others = [
        str(key)[:MOST_NAME]
        for key, value in loaded.items()
        if not isinstance(value, Tensor) or not isinstance(key, str) or len(key) > MOST_NAME
    ]
    if len(loaded) > MOST_TENSORS:
        raise OSError(f"it has {len(loaded)} tensors, more than {MOST_TENSORS}")
    if others:
        raise OSError(f"its state dict has entries that are no tensors: {', '.join(others[:5])}")
    return dict(loaded)


def _check_sizes(
    tensors: Iterable[Tensor], regions: Mapping[Storage, _Region], file_size: int
) -> None:
    """Each tensor within its numbers, none of them much larger than these."""
    for storage, region in regions.items():
        if storage.size * _width(storage.dtype) != region.size:
            raise OSError(f"storage {storage.key} has {region.size} bytes, not what its size says")
        if region.start + region.size > file_size:
            raise OSError(f"storage {storage.key} ends beyond the file, which is cut or damaged")
    for tensor in tensors:
        if tensor.storage not in regions:
            raise OSError(f"storage {tensor.storage.key} is missing")
        size, numbers = math.prod(tensor.shape), _numbers_of(tensor)
        if size and tensor.offset + numbers > tensor.storage.size:
            raise OSError("it describes a tensor beyond its numbers")
        for more, less, what in ((size, numbers, "its numbers"), (numbers, size, "its shape")):
            if more * 8 > MOST_EXPANSION * less * 8 + SPARE:
                raise OSError(f"it describes a tensor of {more} numbers, and {what} has {less}")


def _numbers_of(tensor: Tensor) -> int:
    """From a tensor's first number to its last; what is between may be another's."""
    steps = zip(tensor.shape, tensor.strides, strict=True)
    return 1 + sum((size - 1) * step for size, step in steps) if math.prod(tensor.shape) else 0


def _width(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _stored(path: Path, tensor: Tensor, region: _Region, byteorder: str) -> StoredTensor:
    dtype = np.dtype("f4" if tensor.storage.dtype == "bfloat16" else tensor.storage.dtype)
    return StoredTensor(tensor.shape, dtype, partial(_array, path, tensor, region, byteorder))


def _array(path: Path, tensor: Tensor, region: _Region, byteorder: str) -> np.ndarray:
    with reading(path, UNREADABLE), path.open("rb") as file:
        region.check(file)
        width, numbers = _width(tensor.storage.dtype), _numbers_of(tensor)
        file.seek(region.start + tensor.offset * width)
        data = file.read(numbers * width)
        if tensor.storage.dtype == "bfloat16":
            flat = widened(data, byteorder)
        else:
            flat = np.frombuffer(data, np.dtype(tensor.storage.dtype).newbyteorder(byteorder))  # type: ignore[arg-type]
        if len(flat) != numbers:
            raise OSError("the file is cut")
        steps = tuple(step * flat.itemsize for step in tensor.strides)
        view = np.lib.stride_tricks.as_strided(flat, tensor.shape, steps)
        return np.array(view, dtype=flat.dtype.newbyteorder("="), order="C")
