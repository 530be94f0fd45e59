"""Reading PyTorch's `.pth` without PyTorch: tensors only, and nothing in the file is run.

A `.pth` is a pickle beside raw numbers. A pickle can call any function that it names; the reader
here knows the few names that a tensor is made of, and stops at every other one. The zip format
(PyTorch 1.6 and later) and the older one, a row of pickles, are both read. Facts of the formats:
`torch.serialization` and `torch._utils` of PyTorch 2.13.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

# Names of the storages, and how their numbers lie in the file.
STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
# Functions that make a tensor; the first is that of PyTorch 0.3 and before.
REBUILDERS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
OLD_MAGIC = 0x1950A86A20F9469CFC6C
STATE_KEYS = ("state_dict", "model", "net")

# What reading a cut, damaged or forged file ends in.
DAMAGES = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
)

CONVERT = (
    "In an environment with PyTorch, and only if you trust the file, this line writes one that can "
    'be read: import torch, safetensors.torch as s; f = torch.load("{name}", map_location="cpu", '
    'weights_only=False); s.save_file({{k: v.contiguous() for k, v in f.get("state_dict", f)'
    '.items()}}, "{stem}.safetensors")'
)


@dataclass(frozen=True)
class _Storage:
    """The numbers of one or several tensors: where they lie in the file."""

    key: str
    dtype: str
    size: int


@dataclass(frozen=True)
class _Tensor:
    """A tensor as the pickle describes it; its numbers are read later."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Known:
    """A name of PyTorch's that the pickle may use. It has no state that a pickle could set."""

    __slots__ = ("name",)
    name: str

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "name", name)

    def __call__(self, *arguments: Any) -> Any:
        if self.name in REBUILDERS[:2]:
            storage, offset, shape, strides, *_ = arguments
            return _Tensor(storage, offset, tuple(shape), tuple(strides))
        if self.name == "_rebuild_parameter":
            return arguments[0]
        raise pickle.UnpicklingError(f"it calls {self.name}")

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise pickle.UnpicklingError(f"it changes {self.name}")

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError(f"it changes {self.name}")


class _StateDict(OrderedDict):
    """An OrderedDict; the attributes that PyTorch gives it (`_metadata`) are left out."""

    def __setstate__(self, state: Any) -> None:
        pass


class _TensorUnpickler(pickle.Unpickler):
    """Knows the names that a tensor is made of, and no other."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _StateDict
        if module == "torch._utils" and name in REBUILDERS:
            return _Known(name)
        if module == "torch" and name in STORAGES:
            return _Known(name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, size, *view = pid
        known = isinstance(storage, _Known) and storage.name in STORAGES
        if kind != "storage" or not known or any(part is not None for part in view):
            raise pickle.UnpicklingError("it has a storage of an unknown kind")
        self.storages[str(key)] = _Storage(str(key), STORAGES[storage.name], int(size))
        return self.storages[str(key)]


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a `.pth` file: a state dict, bare or in a training checkpoint.

    Args:
        path: The file.

    Returns:
        Name -> array, in the file's order. bfloat16 becomes float32.

    Raises:
        ValueError: If the file is damaged, holds no state dict, or asks for anything but tensors;
            what it asks for isn't run, and the message has the line that converts it.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        return _read_old(path)
    except pickle.UnpicklingError as error:
        convert = CONVERT.format(name=path.name, stem=path.name.split(".")[0])
        raise ValueError(
            f"{path} was not read, and nothing in it run: {error}. {convert}"
        ) from error
    except DAMAGES as error:
        raise ValueError(f"{path} is no readable PyTorch file: {error!r}") from error


def _read_zip(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        tops = [name for name in names if name.endswith("data.pkl") and name.count("/") <= 1]
        if len(tops) != 1:
            raise zipfile.BadZipFile("it has no data.pkl, or several")
        top = tops[0].removesuffix("data.pkl")
        is_big = f"{top}byteorder" in names and archive.read(f"{top}byteorder") == b"big"
        with archive.open(tops[0]) as file:
            described = _state_dict(_TensorUnpickler(file).load())
        numbers: dict[_Storage, np.ndarray] = {}
        for tensor in described.values():
            storage = tensor.storage
            if storage not in numbers:
                data = archive.read(f"{top}data/{storage.key}")  # zipfile checks its CRC-32
                numbers[storage] = _numbers(data, storage, is_big)
        return {name: _array(tensor, numbers) for name, tensor in described.items()}


def _read_old(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        if _TensorUnpickler(file).load() != OLD_MAGIC or _TensorUnpickler(file).load() != 1001:
            raise OSError("it is neither a zip nor what PyTorch wrote before")
        is_big = not _TensorUnpickler(file).load().get("little_endian", True)
        unpickler = _TensorUnpickler(file)
        described = _state_dict(unpickler.load())
        numbers: dict[_Storage, np.ndarray] = {}
        for key in map(str, _TensorUnpickler(file).load()):
            storage = unpickler.storages[key]
            size = int.from_bytes(file.read(8), "big" if is_big else "little", signed=True)
            if size != storage.size:
                raise OSError(f"storage {key} has another size than its tensors say")
            data = file.read(size * _width(storage.dtype))
            numbers[storage] = _numbers(data, storage, is_big)
        return {name: _array(tensor, numbers) for name, tensor in described.items()}


def _state_dict(loaded: Any) -> dict[str, _Tensor]:
    """The state dict in what was unpickled, without the prefix that DataParallel adds."""
    for key in STATE_KEYS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded:
        raise OSError(f"it holds no state dict but a {type(loaded).__name__}")
    others = [str(key) for key, value in loaded.items() if not isinstance(value, _Tensor)]
    if others:
        raise OSError(f"its state dict has entries that are no tensors: {', '.join(others[:5])}")
    return {str(key): value for key, value in loaded.items()}


def _width(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _numbers(data: bytes, storage: _Storage, is_big: bool) -> np.ndarray:
    if len(data) != storage.size * _width(storage.dtype):
        raise OSError(f"storage {storage.key} has {len(data)} bytes, the file is cut or damaged")
    if storage.dtype == "bfloat16":  # the upper half of a float32
        halves = np.frombuffer(data, ">u2" if is_big else "<u2").astype("u4") << 16
        return halves.astype("u4").view("f4")
    return np.frombuffer(data, np.dtype(storage.dtype).newbyteorder(">" if is_big else "<"))


def _array(tensor: _Tensor, numbers: Mapping[_Storage, np.ndarray]) -> np.ndarray:
    flat = numbers[tensor.storage]
    offset, shape, strides = tensor.offset, tensor.shape, tensor.strides
    # Checked here, where memory is read: a pickle may change what it has described.
    if len(shape) != len(strides) or min((offset, *shape, *strides)) < 0:
        raise OSError("it describes a tensor that can't be")
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if 0 not in shape and last >= flat.size:
        raise OSError("it describes a tensor beyond its numbers")
    steps = tuple(step * flat.itemsize for step in strides)
    view = np.lib.stride_tricks.as_strided(flat[offset:], shape, steps)
    return np.array(view, dtype=flat.dtype.newbyteorder("="), order="C")
