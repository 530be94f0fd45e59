"""The tensors of a weights file by name, whatever the format."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_attn.weights.torch_file import read_torch_file

TORCH_SUFFIXES = (".pth", ".pt", ".pth.tar")
KERAS_SUFFIXES = (".weights.h5", ".keras")
SUFFIXES = (*KERAS_SUFFIXES, ".safetensors", *TORCH_SUFFIXES, ".h5")


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the tensors of a `.safetensors`, a PyTorch `.pth` or a Keras 2 `.h5` file.

    No PyTorch and no network is needed, and nothing that a file says is run. The prefix `module.`
    of PyTorch's DataParallel is taken off where all names have it.

    Args:
        path: The file.

    Returns:
        Name -> array, in the file's order. A Keras 2 file's names are `layer/weight`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind, damaged, or has a name twice.

    Example:

    >>> import safetensors.numpy
    >>> safetensors.numpy.save_file({"a": np.ones((2, 3))}, "/tmp/a.safetensors")
    >>> {name: array.shape for name, array in read_tensors("/tmp/a.safetensors").items()}
    {'a': (2, 3)}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file {path}.")
    if path.name.endswith(TORCH_SUFFIXES):
        tensors = read_torch_file(path)
    elif path.suffix == ".safetensors":
        tensors = _read_safetensors(path)
    elif path.suffix == ".h5" and not path.name.endswith(".weights.h5"):
        tensors = _read_keras2(path)
    else:
        raise ValueError(
            f"`path` must end in one of {', '.join(SUFFIXES[2:])}. Received: path={str(path)!r}"
        )
    prefix = "module."
    if tensors and all(name.startswith(prefix) for name in tensors):
        tensors = {name.removeprefix(prefix): array for name, array in tensors.items()}
    return tensors


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        import safetensors
    except ImportError as error:
        raise ImportError(
            "Reading .safetensors needs the package safetensors: pip install 'keras-attn[hub]'."
        ) from error
    _refuse_doubles(path)
    try:
        # Its numpy reader knows no bfloat16; the raw bytes need no PyTorch.
        entries = safetensors.deserialize(path.read_bytes())
        return {name: _safetensors_array(entry) for name, entry in entries}
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no readable safetensors file: {error}") from error


def _safetensors_array(entry: dict[str, Any]) -> np.ndarray:
    dtypes = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
    dtypes |= {"I16": "<i2", "I8": "i1", "BOOL": "?"}
    data, shape = entry["data"], entry["shape"]
    if entry["dtype"] == "BF16":  # the upper half of a float32
        halves = np.frombuffer(data, "<u2").astype("u4") << 16
        return halves.astype("u4").view("f4").reshape(shape)
    return np.frombuffer(data, dtypes[entry["dtype"]]).reshape(shape)


def _refuse_doubles(path: Path) -> None:
    """JSON lets a name come twice, and its readers take the last."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, 100_000_000))

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in items]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"{path} has names twice: {', '.join(doubled[:5])}")
        return dict(items)

    try:
        json.loads(header, object_pairs_hook=pairs)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no readable safetensors file: {error}") from error


def _read_keras2(path: Path) -> dict[str, np.ndarray]:
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            tensors: dict[str, np.ndarray] = {}
            for layer in map(_text, root.attrs["layer_names"]):
                for weight in map(_text, root[layer].attrs["weight_names"]):
                    name = f"{layer}/{weight.split('/')[-1].split(':')[0]}"
                    if name in tensors:
                        raise ValueError(f"{path} has names twice: {name}")
                    tensors[name] = _dataset(root, f"{layer}/{weight}")[()]
            return tensors
    except (OSError, KeyError) as error:
        raise ValueError(f"{path} is no readable Keras 2 weights file: {error}") from error


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset of this very file: HDF5 can point to others, which is nobody's to read."""
    found: Any = group
    for part in name.split("/"):
        if not isinstance(found.get(part, getlink=True), h5py.HardLink):
            raise KeyError(f"{name} is missing, or a link")
        found = found[part]
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise KeyError(f"{name} is no dataset of this file")
    return found


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
