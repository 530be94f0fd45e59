"""Reading a Keras weights file into a network: all of it into all of it, or not at all."""

from __future__ import annotations

import io
import os
import zipfile
from collections import Counter
from pathlib import Path

import h5py
import keras

WEIGHTS_IN_KERAS_FILE = "model.weights.h5"

# A layer that owns weights: its name, and their shapes in order.
Owner = tuple[str, tuple[tuple[int, ...], ...]]


def load_weights(model: keras.Model, path: str | os.PathLike) -> None:
    """Loads a `.weights.h5` or `.keras` file into a network of the same architecture.

    Keras matches layers by their class and order, so that a checkpoint of another network may
    load in part without a word. Here names and shapes are compared first: every layer of the
    file must be one of the network, and the other way round. Nothing is set where they differ.

    Args:
        model: The network.
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind, unreadable, or another network's.

    Example:

    >>> model = keras_attn.applications.ResidualAttentionCIFAR(56)
    >>> model.save_weights("/tmp/attention56.weights.h5")
    >>> keras_attn.weights.load_weights(model, "/tmp/attention56.weights.h5")
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file {path}.")
    if not path.name.endswith((".weights.h5", ".keras")):
        raise ValueError(
            f"`path` must end in '.weights.h5' or '.keras'. Received: path={str(path)!r}"
        )
    in_file, in_model = Counter(_owners_in_file(path)), Counter(_owners_in_model(model))
    if in_file != in_model:
        raise ValueError(
            f"{path} holds the weights of another network than {model.name!r}. "
            + " ".join(_differences(in_file, in_model))
        )
    model.load_weights(path)


def _owners_in_file(path: Path) -> list[Owner]:
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                source: Path | io.BytesIO = io.BytesIO(archive.read(WEIGHTS_IN_KERAS_FILE))
        else:
            source = path
        with h5py.File(source, "r") as file:
            return _owners_in_group(file)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no readable Keras weights file: {error}") from error


def _owners_in_group(file: h5py.File) -> list[Owner]:
    owners: list[Owner] = []

    def visit(path: str, group: h5py.Group | h5py.Dataset) -> None:
        is_state = path.startswith("optimizer") or "seed_generator" in path
        if path.endswith("/vars") and len(group) and not is_state:
            shapes = tuple(group[key].shape for key in sorted(group, key=int))
            owners.append((str(group.attrs["name"]), shapes))

    file.visititems(visit)
    return owners


def _owners_in_model(model: keras.Model) -> list[Owner]:
    shapes: dict[str, list[tuple[int, ...]]] = {}
    for weight in model.weights:
        owner = weight.path.rsplit("/", 1)[0]
        shapes.setdefault(owner, []).append(tuple(weight.shape))
    return [(owner.rsplit("/", 1)[-1], tuple(shape)) for owner, shape in shapes.items()]


def _differences(in_file: Counter[Owner], in_model: Counter[Owner], most: int = 3) -> list[str]:
    """Some of what is on one side only, in words."""

    def listed(owners: Counter[Owner]) -> str:
        words = [f"{name} {list(shapes)}" for name, shapes in list(owners)[:most]]
        more = len(owners) - most
        return ", ".join(words) + (f" and {more} more" if more > 0 else "")

    missing, unknown = in_model - in_file, in_file - in_model
    sentences = []
    if missing:
        sentences.append(f"The file lacks {listed(missing)}.")
    if unknown:
        sentences.append(f"The network lacks {listed(unknown)}.")
    return sentences
