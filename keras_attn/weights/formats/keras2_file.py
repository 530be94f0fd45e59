"""Reading the `.h5` of Keras 2, which Keras 3 still writes: weights by layer and name."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_attn.weights.formats.hdf5_file import (
    check_dataset,
    member,
    read_dataset,
    read_names,
    walk,
)
from keras_attn.weights.formats.reading import MOST_TENSORS, read_json, reading
from keras_attn.weights.formats.stored_tensor import StoredTensor

TOP_LEVEL = "top_level_model_weights"  # of no layer; a functional network has none
UNREADABLE = "is no readable Keras 2 weights file"


def describe_keras2(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a `.h5` file, still in it.

    Args:
        path: The file.

    Returns:
        Name -> tensor, in the file's order. Of Keras 2 a name is `layer/weight`, and with all that
        stands between them where a layer would have it twice otherwise. Of Keras 3 it is the
        weight's path in its network.

    Raises:
        ValueError: If the file is damaged, or has a name twice.
    """
    with reading(path, UNREADABLE), h5py.File(path, "r") as file:
        root: Any = member(file, "model_weights") if "model_weights" in file else file
        is_keras3 = str(root.attrs.get("keras_version", "")).startswith("3")
        tensors: dict[str, StoredTensor] = {}
        for layer in _layers(root):
            weights = _weights(member(root, layer))
            named = weights if is_keras3 else _named(layer, weights)
            for weight, name in zip(weights, named, strict=True):
                if name in tensors or len(tensors) == MOST_TENSORS:
                    raise ValueError(f"it has names twice, or over {MOST_TENSORS}: {name}")
                dataset: Any = member(root, f"{layer}/{weight}")
                check_dataset(dataset)
                read = partial(_read, path, dataset.name)
                dtype = np.dtype("f4") if dataset.dtype.kind == "V" else dataset.dtype
                tensors[name] = StoredTensor(dataset.shape, dtype, read)
        return tensors


def is_keras2(path: Path) -> bool:
    """Whether a `.h5` file is of this kind; the name `.weights.h5` was once given to both."""
    try:
        with h5py.File(path, "r") as file:
            named = any(name in file.attrs for name in ("layer_names", "layer_names0"))
            return named or "model_weights" in file
    except Exception:  # the file's reader says what is wrong with it
        return False


def read_keras2_config(path: Path) -> Any:
    """The network's configuration in a `.h5` file of a whole model; `None` where there is none."""
    with reading(path, UNREADABLE), h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
        return read_json(config) if isinstance(config, str | bytes) else None


def _layers(root: h5py.Group) -> list[str]:
    names = read_names(root, "layer_names")
    return [name for name in root if name != TOP_LEVEL] if names is None else names


def _weights(layer: Any) -> list[str]:
    names = read_names(layer, "weight_names")
    if names is None:
        return [path for path, found in walk(layer) if isinstance(found, h5py.Dataset)]
    return names


def _named(layer: str, weights: list[str]) -> list[str]:
    paths = [weight.split(":")[0] for weight in weights]
    short = [f"{layer}/{path.rsplit('/', 1)[-1]}" for path in paths]
    times = Counter(short)
    return [
        name if times[name] == 1 else f"{layer}/{path.removeprefix(f'{layer}/')}"
        for name, path in zip(short, paths, strict=True)
    ]


def _read(path: Path, name: str) -> np.ndarray:
    with reading(path, UNREADABLE), h5py.File(path, "r") as file:
        dataset: Any = member(file, name.strip("/"))
        check_dataset(dataset)
        return read_dataset(dataset)
