"""Reading a file of weights into a network: all of it into all of it, or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_attn.weights.conversion import Report, convert
from keras_attn.weights.keras_file import load_keras_file
from keras_attn.weights.naming import Naming
from keras_attn.weights.sources import NAMINGS
from keras_attn.weights.tensors import KERAS_SUFFIXES, SUFFIXES, read_tensors


def load_weights(
    model: keras.Model, path: str | os.PathLike, *, naming: Naming | None = None
) -> Report:
    """Loads a file of weights into a network of the same architecture: all of it, or nothing.

    Keras matches layers by their class and order, so that a checkpoint of another network may
    load in part without a word. Here names and shapes are compared first: every layer of the
    file must be one of the network, and the other way round. Nothing is set where they differ.

    What may differ is done and said in the report: a classifier of other classes stays as it is,
    a network without one leaves the file's, a first kernel for RGB is adapted to other channels,
    and tables of relative positions are stretched.

    Args:
        model: The network.
        path: A file of Keras 3 (`.weights.h5`, `.keras`) or of another source: `.safetensors`,
            PyTorch's `.pth` (read without PyTorch, nothing in it run), or `.h5` of Keras 2.
        naming: How another source names the weights; by default as its names tell.

    Returns:
        What was done.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind, unreadable, or another network's.

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
    if path.name.endswith(KERAS_SUFFIXES):
        return load_keras_file(model, path)
    tensors = read_tensors(path)
    return convert(model, tensors, naming or naming_of(tensors, path))


def naming_of(tensors: Mapping[str, np.ndarray], path: str | os.PathLike) -> Naming:
    """How the tensors of a file are named, as their names tell.

    Args:
        tensors: Name -> array.
        path: The file, for the error.

    Returns:
        The naming whose marks are all there.

    Raises:
        ValueError: If no known source names tensors so.
    """
    for naming in NAMINGS:
        names = naming.prepared(tensors)
        if all(mark in names for mark in naming.marks):
            return naming
    raise ValueError(
        f"{path} names its tensors as no source does that is known here: "
        f"{', '.join(list(tensors)[:3])} ... `keras_attn.weights.sources` says how to add one."
    )
