"""Reading a file of weights into a network: all of it into all of it, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import keras

from keras_attn.weights.conversion import Report, Tensors, convert
from keras_attn.weights.formats.keras_file import load_keras_file
from keras_attn.weights.formats.reading import reading
from keras_attn.weights.formats.tensors import SUFFIXES, describe_tensors, is_keras3
from keras_attn.weights.naming import OWN_NAMES, Naming
from keras_attn.weights.sources import NAMINGS


def load_weights(
    model: keras.Model, path: str | os.PathLike[str], *, naming: Naming | None = None
) -> Report:
    """Loads a file of weights into a network of the same architecture: all of it, or nothing.

    Keras matches layers by their class and order, so that a checkpoint of another network may
    load in part without a word. Here names and shapes are compared first: every layer of the
    file must be one of the network, and the other way round. Nothing is set where they differ.

    What may differ is done and said in the report: a classifier of other classes stays as it is,
    a network without one leaves the file's, a first kernel for RGB is adapted to other channels,
    and tables of relative positions are stretched. What the file has of an optimizer is not read.

    Shapes are compared before an array is read, and every array must have its numbers in the file,
    uncompressed: no file takes much more than the network itself.

    Args:
        model: The network.
        path: A file of Keras 3 (`.weights.h5`, `.keras`, or `.h5` as `model.save` writes it) or of
            another source: `.safetensors`, PyTorch's `.pth` (read without PyTorch, nothing in it
            run), or `.h5` of Keras 2.
        naming: How another source names the weights; by default as its names tell.

    Returns:
        What was done.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind, unreadable, another network's, or has values
            that are not finite; the network is as it was.

    Example:

    >>> model = keras_attn.applications.ResidualAttentionCIFAR(56)
    >>> model.save_weights("/tmp/attention56.weights.h5")
    >>> report = keras_attn.weights.load_weights(model, "/tmp/attention56.weights.h5")
    >>> len(report.loaded) == len(model.weights), report.changes
    (True, ())
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file {path}.")
    if not path.name.endswith(SUFFIXES):
        raise ValueError(
            f"`path` must end in one of {', '.join(map(repr, SUFFIXES))}. "
            f"Received: path={str(path)!r}"
        )
    if is_keras3(path):
        return load_keras_file(model, path)
    tensors = describe_tensors(path)
    if naming is None and {weight.path for weight in model.weights} <= tensors.keys():
        naming = OWN_NAMES
    return load_tensors(model, path, tensors, naming or naming_of(tensors, path))


def load_tensors(model: keras.Model, path: Path, tensors: Tensors, naming: Naming) -> Report:
    """Sets a network's weights from a file's tensors; see `convert`.

    Args:
        model: The network.
        path: The file, for the error.
        tensors: The file's tensors.
        naming: The naming of those tensors.

    Returns:
        What was done.

    Raises:
        ValueError: If they are not the network's; nothing is set.
    """
    with reading(path, "was not loaded"):
        return convert(model, tensors, naming)


def naming_of(tensors: Tensors, path: str | os.PathLike[str]) -> Naming:
    """How the tensors of a file are named, as their names tell.

    Args:
        tensors: Name -> array.
        path: The file, for the error.

    Returns:
        The naming whose marks are all there; else that of a network's own weights, where they may
        be such.

    Raises:
        ValueError: If no known source names tensors so.
    """
    with reading(Path(path), "was not read"):
        for naming in NAMINGS:
            names = naming.prepared(tensors)
            if all(mark in names for mark in naming.marks):
                return naming
    if tensors and all("/" in name for name in tensors):  # such as Keras gives
        return OWN_NAMES
    raise ValueError(
        f"{path} names its tensors as no source does that is known here: "
        f"{', '.join(list(tensors)[:3])} ... `keras_attn.weights.sources` says how to add one."
    )
