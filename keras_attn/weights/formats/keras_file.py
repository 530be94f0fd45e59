"""Reading a file of Keras 3, where Keras pairs the layers and we see that they are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from keras_attn._keras import layers_of
from keras_attn.weights.adaptation import HEAD, adapt
from keras_attn.weights.assignment import (
    all_or_nothing,
    check_finite,
    copy_of,
    number_kind,
)
from keras_attn.weights.conversion import Report, first_kernel, is_state
from keras_attn.weights.formats.hdf5_file import check_dataset, read_name, walk
from keras_attn.weights.formats.keras_archive import UNREADABLE, weights_file
from keras_attn.weights.formats.reading import reading

MOST_STATE = 64  # numbers of a random generator's state

# A weight's shape, and its kind of numbers.
Kind = tuple[tuple[int, ...], str]
# A layer that owns weights: its name, and what they are in order.
Owner = tuple[str, tuple[Kind, ...]]


def load_keras_file(model: keras.Model, path: Path) -> Report:
    """Loads a `.weights.h5` or `.keras` file; see `load_weights`.

    Args:
        model: The network.
        path: The file.

    Returns:
        What was done.

    Raises:
        ValueError: If the file is unreadable, or another network's; nothing is set then.
    """
    with weights_file(path) as weights:
        with reading(path, UNREADABLE), h5py.File(weights, "r") as file:
            in_file = Counter(_owners_in_file(file))
        in_model = Counter(_owners_in_model(model))
        missing, unknown = in_model - in_file, in_file - in_model
        changes, adapted, kept = _adaptable(model, missing, unknown)
        if missing or unknown:
            raise ValueError(
                f"{path} holds the weights of another network than {model.name!r}. "
                + " ".join(_differences(missing, unknown))
            )
        with reading(path, "was not loaded, nothing was set"), all_or_nothing(model):
            # A number beyond the weight's dtype is found below, by the weight's name.
            quiet = np.errstate(over="ignore")
            with quiet, _adapting(model, adapted, kept), _without_optimizer(model):
                model.load_weights(weights)
            for weight in [each for each in model.weights if each.path not in kept]:
                check_finite(copy_of(weight), weight.path)
    loaded = [w.path for w in model.weights if w.path not in kept and not is_state(w)]
    return Report(tuple(loaded), tuple(kept), changes=tuple(changes))


def _adaptable(
    model: keras.Model, missing: Counter[Owner], unknown: Counter[Owner]
) -> tuple[list[str], set[str], list[str]]:
    """Takes from both what adaptation makes alike; the changes, the owners, the weights left."""
    changes: list[str] = []
    kept: list[str] = []
    adapted: set[str] = set()
    by_owner = _weights_by_owner(model)
    first = first_kernel({w.path: tuple(w.shape) for w in model.weights})
    named: dict[str, list[Owner]] = {}
    for other in unknown:
        named.setdefault(other[0], []).append(other)
    for path, weights in by_owner.items():
        owner = _owner(path, weights)
        if not missing[owner]:
            continue
        for other in [each for each in named.get(owner[0], ()) if unknown[each]]:
            done = _fit_all(weights, other[1], first)
            if done is not None:
                missing[owner] -= 1
                unknown[other] -= 1
                adapted.add(path)
                changes += [each for each in dict.fromkeys(done.values()) if each not in changes]
                kept += [each for each in done if HEAD.fullmatch(each)]
                break
    if "predictions" not in by_owner:
        for other in [each for each in named.get("predictions", ()) if unknown[each]]:
            unknown[other] -= 1
            changes.append("without the file's classifier")
    for counter in (missing, unknown):
        for key in [each for each in counter if not counter[each]]:
            del counter[key]
    return changes, adapted, kept


def _fit_all(
    weights: list[keras.Variable], kinds: tuple[Kind, ...], first: str | None
) -> dict[str, str] | None:
    """What is done to weights of a layer, by path; `None` where there is no way for all."""
    done: dict[str, str] = {}
    if len(weights) != len(kinds):
        return None
    for weight, (shape, kind) in zip(weights, kinds, strict=True):
        if number_kind(weight.dtype) != kind:
            return None
        if tuple(weight.shape) != shape:
            stand_in = np.broadcast_to(np.float32(0), shape)
            _, done[weight.path] = adapt(
                weight.path, stand_in, tuple(weight.shape), weight.path == first
            )
            if not done[weight.path]:
                return None
    return done


@contextmanager
def _without_optimizer(model: keras.Model) -> Iterator[None]:
    """Keeps the optimizer as it is: a file of weights may have one, of any size."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        yield
        return
    optimizer.__dict__["load_own_variables"] = lambda store: None
    try:
        yield
    finally:
        del optimizer.__dict__["load_own_variables"]


@contextmanager
def _adapting(model: keras.Model, owners: set[str], kept: list[str]) -> Iterator[None]:
    """Lets these layers take arrays of other shapes while Keras loads, but for some weights."""
    first = first_kernel({w.path: tuple(w.shape) for w in model.weights})
    by_owner = _weights_by_owner(model)

    def loader(weights: list[keras.Variable]) -> Callable[[Any], None]:
        def load_own_variables(store: Any) -> None:
            for i, weight in enumerate(weights):
                shape = tuple(weight.shape)
                if weight.path in kept:  # the file's may be of any size
                    continue
                array = np.asarray(store[str(i)])
                if array.shape != shape:
                    made, _ = adapt(weight.path, array, shape, weight.path == first)
                    array = array if made is None else made
                weight.assign(array)

        return load_own_variables

    layers = [layer for layer in layers_of(model) if layer.path in owners]
    for layer in layers:
        layer.__dict__["load_own_variables"] = loader(by_owner[layer.path])
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["load_own_variables"]


def _owners_in_file(file: h5py.File) -> list[Owner]:
    """The layers of a file that own weights, each weight measured and none read."""
    owners: list[Owner] = []
    for path, group in walk(file):
        is_of_optimizer = path.startswith("optimizer")
        if not path.endswith("/vars") or is_of_optimizer or not isinstance(group, h5py.Group):
            continue
        datasets = [group[key] for key in sorted(group, key=int)]
        for dataset in datasets:
            check_dataset(dataset)
        if "seed_generator" in path:
            if sum(dataset.size for dataset in datasets) > MOST_STATE:
                raise ValueError(f"{path} is no state of a random generator")
        elif datasets:
            owners.append((read_name(group), tuple(map(_kind, datasets))))
    return owners


def _kind(dataset: h5py.Dataset) -> Kind:
    name = "bfloat16" if dataset.dtype.kind == "V" else str(dataset.dtype.newbyteorder("="))
    return dataset.shape, number_kind(name)


def _owners_in_model(model: keras.Model) -> list[Owner]:
    return [_owner(path, weights) for path, weights in _weights_by_owner(model).items()]


def _owner(path: str, weights: list[keras.Variable]) -> Owner:
    kinds = tuple((tuple(weight.shape), number_kind(weight.dtype)) for weight in weights)
    return path.rsplit("/", 1)[-1], kinds


def _weights_by_owner(model: keras.Model) -> dict[str, list[keras.Variable]]:
    weights: dict[str, list[keras.Variable]] = {}
    for weight in model.weights:
        weights.setdefault(weight.path.rsplit("/", 1)[0], []).append(weight)
    return weights


def _differences(missing: Counter[Owner], unknown: Counter[Owner], most: int = 3) -> list[str]:
    """Some of what is on one side only, in words."""

    def listed(owners: Counter[Owner]) -> str:
        words = [f"{name} [{', '.join(map(_words, kinds))}]" for name, kinds in list(owners)[:most]]
        more = len(owners) - most
        return ", ".join(words) + (f" and {more} more" if more > 0 else "")

    sentences = []
    if missing:
        sentences.append(f"The file lacks {listed(missing)}.")
    if unknown:
        sentences.append(f"The network lacks {listed(unknown)}.")
    return sentences


def _words(kind: Kind) -> str:
    shape, numbers = kind
    return str(shape) if numbers == "real" else f"{shape} of {numbers} numbers"
