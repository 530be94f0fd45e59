"""Reading a file of Keras 3, where Keras pairs the layers and we see that they are the same."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from keras_attn.weights.adaptation import adapt
from keras_attn.weights.conversion import Report, first_kernel, is_state

WEIGHTS_IN_KERAS_FILE = "model.weights.h5"

# A layer that owns weights: its name, and their shapes in order.
Owner = tuple[str, tuple[tuple[int, ...], ...]]


def load_keras_file(model: keras.Model, path: Path) -> Report:
    """Loads a `.weights.h5` or `.keras` file; see `load_weights`.

    Args:
        model: The network.
        path: The file.

    Returns:
        What was done.

    Raises:
        ValueError: If the file is unreadable, or another network's.
    """
    in_file, in_model = Counter(_owners_in_file(path)), Counter(_owners_in_model(model))
    missing, unknown = in_model - in_file, in_file - in_model
    changes, adapted = _adaptable(model, missing, unknown)
    if missing or unknown:
        raise ValueError(
            f"{path} holds the weights of another network than {model.name!r}. "
            + " ".join(_differences(missing, unknown))
        )
    with _adapting(model, adapted) as kept:
        model.load_weights(path)
    loaded = [w.path for w in model.weights if w.path not in kept and not is_state(w)]
    return Report(tuple(loaded), tuple(kept), changes=tuple(changes))


def _adaptable(
    model: keras.Model, missing: Counter[Owner], unknown: Counter[Owner]
) -> tuple[list[str], set[str]]:
    """Takes from both what adaptation makes alike; the changes, and the owners' paths."""
    changes: list[str] = []
    adapted: set[str] = set()
    for owner, weights in _weights_by_owner(model).items():
        name, shapes = owner.rsplit("/", 1)[-1], tuple(tuple(w.shape) for w in weights)
        if not missing[(name, shapes)]:
            continue
        for other in [each for each in unknown if each[0] == name and unknown[each]]:
            fits, done = _fit_all(model, weights, other[1])
            if fits:
                missing[(name, shapes)] -= 1
                unknown[other] -= 1
                adapted.add(owner)
                changes += [each for each in dict.fromkeys(done) if each not in changes]
                break
    if "predictions" not in _weights_by_owner(model):
        for other in [each for each in unknown if each[0] == "predictions" and unknown[each]]:
            unknown[other] -= 1
            changes.append("without the file's classifier")
    for counter in (missing, unknown):
        for key in [each for each in counter if not counter[each]]:
            del counter[key]
    return changes, adapted


def _fit_all(
    model: keras.Model, weights: list[keras.Variable], shapes: tuple[tuple[int, ...], ...]
) -> tuple[bool, list[str]]:
    first = first_kernel({w.path: tuple(w.shape) for w in model.weights})
    done = []
    if len(weights) != len(shapes):
        return False, []
    for weight, shape in zip(weights, shapes, strict=True):
        if tuple(weight.shape) != shape:
            empty = np.zeros(shape, "float32")
            _, change = adapt(weight.path, empty, tuple(weight.shape), weight.path == first)
            if not change:
                return False, []
            done.append(change)
    return True, done


@contextmanager
def _adapting(model: keras.Model, owners: set[str]) -> Iterator[list[str]]:
    """Lets these layers take arrays of other shapes while Keras loads; gives what they left."""
    first = first_kernel({w.path: tuple(w.shape) for w in model.weights})
    by_owner = _weights_by_owner(model)
    kept: list[str] = []

    def loader(weights: list[keras.Variable]) -> Callable[[Any], None]:
        def load_own_variables(store: Any) -> None:
            for i, weight in enumerate(weights):
                array, shape = np.asarray(store[str(i)]), tuple(weight.shape)
                if array.shape != shape:
                    adapted, _ = adapt(weight.path, array, shape, weight.path == first)
                    if adapted is None:
                        kept.append(weight.path)
                        continue
                    array = adapted
                weight.assign(array)

        return load_own_variables

    layers = [layer for layer in model._flatten_layers() if layer.path in owners]
    for layer in layers:
        layer.__dict__["load_own_variables"] = loader(by_owner[layer.path])
    try:
        yield kept
    finally:
        for layer in layers:
            del layer.__dict__["load_own_variables"]


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
    return [
        (owner.rsplit("/", 1)[-1], tuple(tuple(weight.shape) for weight in weights))
        for owner, weights in _weights_by_owner(model).items()
    ]


def _weights_by_owner(model: keras.Model) -> dict[str, list[keras.Variable]]:
    weights: dict[str, list[keras.Variable]] = {}
    for weight in model.weights:
        weights.setdefault(weight.path.rsplit("/", 1)[0], []).append(weight)
    return weights


def _differences(missing: Counter[Owner], unknown: Counter[Owner], most: int = 3) -> list[str]:
    """Some of what is on one side only, in words."""

    def listed(owners: Counter[Owner]) -> str:
        words = [f"{name} {list(shapes)}" for name, shapes in list(owners)[:most]]
        more = len(owners) - most
        return ", ".join(words) + (f" and {more} more" if more > 0 else "")

    sentences = []
    if missing:
        sentences.append(f"The file lacks {listed(missing)}.")
    if unknown:
        sentences.append(f"The network lacks {listed(unknown)}.")
    return sentences
