"""From a source's tensors to a network's weights, with an account of every one."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import numpy as np

from keras_attn.weights.adaptation import HEAD, adapt, most_numbers
from keras_attn.weights.assignment import assign_all, fitted
from keras_attn.weights.formats.stored_tensor import StoredTensor
from keras_attn.weights.naming import Naming, Origin

Tensors = Mapping[str, np.ndarray] | Mapping[str, StoredTensor]


@dataclass(frozen=True)
class Report:
    """What a file's weights were used for.

    Attributes:
        loaded: Paths of the weights that were set.
        kept: Paths of those left as they were: a new classifier's.
        unused: Names in the file that this network has no use for: another classifier's.
        changes: The changes beside setting, in words.
    """

    loaded: tuple[str, ...]
    kept: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


@dataclass
class _Account:
    """What doesn't add up, by kind."""

    problems: dict[str, list[str]] = field(default_factory=dict)

    def note(self, kind: str, name: str) -> None:
        self.problems.setdefault(kind, []).append(name)

    def check(self, title: str, network: str) -> None:
        if not self.problems:
            return
        sentences = []
        for kind, names in self.problems.items():
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            sentences.append(f"{kind}: {', '.join(names[:5])}{more}.")
        raise ValueError(
            f"These weights, read as {title}, are not those of {network!r}; nothing was set. "
            + " ".join(sentences)
        )


def convert(model: keras.Model, tensors: Tensors, naming: Naming) -> Report:
    """Sets the weights of a network from a source's tensors: all of them, or none.

    Each tensor is used exactly once and each weight set exactly once. What may differ is said in
    the report: another number of classes leaves the classifier as it is, no classifier leaves the
    file's, another number of input channels changes the first kernel, and tables of relative
    positions are stretched. Names and shapes are compared before a tensor is read from its file.

    Args:
        model: The network.
        tensors: Name -> array.
        naming: How the source names the network's weights.

    Returns:
        What was done.

    Raises:
        ValueError: If a tensor is missing, left over, needed twice, of a wrong shape or of other
            numbers than finite ones of the weight's kind; the message has the names, and nothing
            is set.
    """
    tensors = naming.prepared(tensors)
    weights = {weight.path: weight for weight in model.weights if not is_state(weight)}
    shapes = {path: tuple(weight.shape) for path, weight in weights.items()}
    origins = naming.origins(shapes)
    account = _Account()
    for path in weights:
        if path not in origins:
            account.note("The source has no name for", path)
    uses = Counter(name for origin in origins.values() for name in origin.names)
    for name, times in uses.items():
        if times > 1:
            account.note("Needed more than once", name)

    first = first_kernel(shapes)
    to_read: dict[str, Origin] = {}
    kept: list[str] = []
    changes: list[str] = []
    for path, origin in origins.items():
        missing = [name for name in origin.names if name not in tensors]
        for name in missing:
            account.note("The file lacks", f"{name} (for {path})")
        if missing:
            continue
        is_kept, change = _plan(origin, tensors, path, shapes[path], path == first, account)
        if is_kept:
            kept.append(path)
        else:
            to_read[path] = origin
        if change and change not in changes:
            changes.append(change)

    unused = [name for name in tensors if name not in uses]
    unused = [name for name in unused if not re.fullmatch(naming.ignored, name)]
    heads = _names_of_the_head(naming, weights)
    for name in unused:
        if name not in heads:
            account.note("The network has no use for", f"{name} {list(tensors[name].shape)}")
    account.check(naming.title, model.name)

    values = []
    for path, origin in to_read.items():
        array = np.asarray(origin.function(*(np.asarray(tensors[name]) for name in origin.names)))
        if array.shape != shapes[path]:
            made, _ = adapt(path, array, shapes[path], path == first)
            array = array if made is None else made
        values.append((weights[path], fitted(array, weights[path])))
    assign_all(values)
    if unused:
        changes.append("without the file's classifier")
    return Report(tuple(to_read), tuple(kept), tuple(unused), tuple(changes))


def is_state(weight: keras.Variable) -> bool:
    """Whether a variable is the state of a random generator, and no weight."""
    return "seed_generator" in weight.path


def first_kernel(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The path of the first convolution's kernel."""
    return next((path for path, shape in shapes.items() if len(shape) == 4), None)


def _plan(
    origin: Origin,
    tensors: Tensors,
    path: str,
    shape: tuple[int, ...],
    is_first: bool,
    account: _Account,
) -> tuple[bool, str]:
    """Whether a weight is left as it is, and what is done to its array, by the shapes alone."""
    given = [tuple(tensors[name].shape) for name in origin.names]
    array = _stand_in(origin, given, most_numbers(shape), path)
    if array.shape == shape:
        return False, ""
    adapted, change = adapt(path, array, shape, is_first)
    if not change:
        theirs = ", ".join(
            f"{name} {list(each)}" for name, each in zip(origin.names, given, strict=True)
        )
        account.note("Of another shape", f"{theirs} for {path} {list(shape)}")
    return adapted is None, change


def _stand_in(origin: Origin, shapes: list[tuple[int, ...]], most: int, path: str) -> np.ndarray:
    """An array of the shape that comes of arrays of these shapes: one number, repeated."""
    if sum(map(math.prod, shapes)) > most and not HEAD.fullmatch(path):
        return np.empty(0)
    try:
        arrays = [np.broadcast_to(np.float32(0), shape) for shape in shapes]
        return np.asarray(origin.function(*arrays))
    except Exception:  # whatever a function of a source's does with other shapes than its own
        return np.empty(0)


def _names_of_the_head(naming: Naming, weights: Mapping[str, keras.Variable]) -> set[str]:
    """The source's names of a classifier, where the network has none."""
    if any(HEAD.fullmatch(path) for path in weights):
        return set()
    head = naming.origins({"predictions/kernel": (1, 1), "predictions/bias": (1,)})
    return {name for origin in head.values() for name in origin.names}
