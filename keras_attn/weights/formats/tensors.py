"""The tensors of a weights file by name, whatever the format."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_attn.weights.formats.keras2_file import describe_keras2, is_keras2
from keras_attn.weights.formats.reading import most_bytes
from keras_attn.weights.formats.safetensors_file import describe_safetensors
from keras_attn.weights.formats.stored_tensor import StoredTensor
from keras_attn.weights.formats.torch_file import describe_torch_file

TORCH_SUFFIXES = (".pth", ".pt", ".pth.tar")
KERAS_SUFFIXES = (".weights.h5", ".keras")
SUFFIXES = (*KERAS_SUFFIXES, ".safetensors", *TORCH_SUFFIXES, ".h5")


def read_tensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads the tensors of a `.safetensors`, a PyTorch `.pth` or a Keras 2 `.h5` file.

    No PyTorch and no network is needed, and nothing that a file says is run. The prefix `module.`
    of PyTorch's DataParallel is taken off where all names have it. The tensors may take four times
    the file, and 16 MiB, and no more.

    Args:
        path: The file.

    Returns:
        Name -> array, in the file's order. A Keras 2 file's names are `layer/weight`, those of one
        that Keras 3 wrote the weights' paths.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind, damaged, has a name twice, or asks for more
            than it holds.

    Example:

    >>> import safetensors.numpy
    >>> safetensors.numpy.save_file({"a": np.ones((2, 3))}, "/tmp/a.safetensors")
    >>> {name: array.shape for name, array in read_tensors("/tmp/a.safetensors").items()}
    {'a': (2, 3)}
    """
    path = Path(path)
    tensors = describe_tensors(path)
    size = sum(tensor.nbytes for tensor in tensors.values())
    if size > most_bytes(path):
        raise ValueError(
            f"{path} has tensors of {size} bytes, which is more than four times the file"
        )
    return {name: np.asarray(tensor) for name, tensor in tensors.items()}


def describe_tensors(path: str | os.PathLike[str]) -> dict[str, StoredTensor]:
    """The tensors that `read_tensors` reads, still in the file.

    Args:
        path: The file.

    Returns:
        Name -> tensor, in the file's order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind, damaged, or has a name twice.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file {path}.")
    describe: Callable[[Path], dict[str, StoredTensor]]
    if path.name.endswith(TORCH_SUFFIXES):
        describe = describe_torch_file
    elif path.suffix == ".safetensors":
        describe = describe_safetensors
    elif path.suffix == ".h5" and not is_keras3(path):
        describe = describe_keras2
    else:
        raise ValueError(
            f"`path` must end in one of {', '.join(SUFFIXES[2:])}. Received: path={str(path)!r}"
        )
    tensors = describe(path)
    prefix = "module."
    if tensors and all(name.startswith(prefix) for name in tensors):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def is_keras3(path: Path) -> bool:
    """Whether a file is one of Keras 3's own formats, to be read by Keras."""
    return path.name.endswith(KERAS_SUFFIXES) and not (path.suffix == ".h5" and is_keras2(path))
