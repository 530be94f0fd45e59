"""How a source names its weights: one table of names for each family of networks.

A line of a table has our name and the source's. Both may end at the layer, and then mean its
weights under the names of both frameworks; or name one weight. `{s}` is any number, and `{b-1}`
that number less one:

    ("stage{s}_block{b}_conv{c}", "layer{s}.{b-1}.conv{c}")
    ("stage{s}_block{b}_se/reduce_kernel", "layer{s}.{b-1}.se.fc1.weight")

A weight that is computed from several of the source's has their names, and a function of their
arrays: `("stem_bn/moving_mean", ("bn/moving_mean", "conv/bias"), operator.sub)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np


Shape = tuple[int, ...]
Line = tuple[Any, ...]  # (ours, theirs) or (ours, theirs, function of their arrays)

# A layer's weights: Keras's name -> PyTorch's.
TORCH_WEIGHTS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_FIELD = re.compile(r"\{(\w)([+-]\d+)?\}")


@dataclass(frozen=True)
class Origin:
    """Where a weight comes from: the source's names, and a function of their arrays."""

    names: tuple[str, ...]
    function: Callable[..., np.ndarray]


class Naming(Protocol):
    """What a source's names are for the weights of a network.

    Attributes:
        title: The source, for errors.
        marks: Names by which a file of this source is known.
        ignored: Regular expression of the source's names that no weight is made from.
    """

    @property
    def title(self) -> str:
        """The source."""
        ...

    @property
    def marks(self) -> tuple[str, ...]:
        """Names that its files have."""
        ...

    @property
    def ignored(self) -> str:
        """A pattern of names without use."""
        ...

    def prepared(self, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        """The tensors under the names that `origins` gives."""
        ...

    def origins(self, shapes: Mapping[str, Shape]) -> dict[str, Origin]:
        """For weights by path, with their shapes, where each comes from, as far as is known."""
        ...


@dataclass(frozen=True)
class Table:
    """A naming by a table of lines; see this module's text.

    Attributes:
        title: The source, for errors.
        lines: The table. The first line that fits a weight counts.
        marks: Names by which a file of this source is known.
        layout: `"torch"`, whose arrays have their axes turned, or `"keras"`, whose have not.
        ignored: Regular expression of the source's names that no weight is made from.
    """

    title: str
    lines: tuple[Line, ...]
    marks: tuple[str, ...]
    layout: str = "torch"
    ignored: str = r".*\.num_batches_tracked"

    def prepared(self, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        """The tensors, as they are."""
        return tensors

    def origins(self, shapes: Mapping[str, Shape]) -> dict[str, Origin]:
        """For weights by path, with their shapes, where each comes from, as far as is known."""
        found = {path: self._origin(path, shape) for path, shape in shapes.items()}
        return {path: origin for path, origin in found.items() if origin is not None}

    def _origin(self, path: str, shape: Shape) -> Origin | None:
        layer, _, weight = path.rpartition("/")
        for pattern, theirs, *function in self._compiled:
            for of_layer, text in ((False, path), (True, layer)):
                match = pattern.fullmatch(text)
                if match is None:
                    continue
                templates = (theirs,) if isinstance(theirs, str) else theirs
                names = tuple(_filled(template, match) for template in templates)
                if of_layer:
                    names = tuple(self._weight_of(name, weight) for name in names)
                if function:
                    return Origin(names, function[0])
                return Origin(names, _torch_to(shape) if self.layout == "torch" else as_it_is)
        return None

    def _weight_of(self, layer: str, weight: str) -> str:
        if self.layout == "torch":
            return f"{layer}.{TORCH_WEIGHTS.get(weight, weight)}"
        return f"{layer}/{weight}"

    @cached_property
    def _compiled(self) -> list[Line]:
        return [(_pattern(ours), *rest) for ours, *rest in self.lines]


@dataclass(frozen=True)
class OwnNames:
    """The names of a network's own weights: their paths."""

    title: str = "a network's own names"
    marks: tuple[str, ...] = ()
    ignored: str = "$^"

    def prepared(self, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        """The tensors, as they are."""
        return tensors

    def origins(self, shapes: Mapping[str, Shape]) -> dict[str, Origin]:
        """For weights by path, the same path."""
        return {path: Origin((path,), as_it_is) for path in shapes}


OWN_NAMES = OwnNames()


def nested(
    outer: tuple[tuple[str, str], ...], inner: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """The lines of units that stand in several places: each place's names before each unit's.

    Args:
        outer: Our name and theirs of each place.
        inner: Our name and theirs inside a unit.

    Returns:
        Lines, our names joined by `/`, theirs by `.`.
    """
    return tuple(
        (f"{place}/{part}", f"{their_place}.{their_part}")
        for place, their_place in outer
        for part, their_part in inner
    )


def _pattern(ours: str) -> re.Pattern[str]:
    text = re.escape(ours).replace(r"\{", "{").replace(r"\}", "}")
    seen: set[str] = set()

    def group(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return rf"(?P<{name}>\d+)"

    return re.compile(_FIELD.sub(group, text))


def _filled(template: str, match: re.Match[str]) -> str:
    return _FIELD.sub(lambda field: str(int(match[field[1]]) + int(field[2] or 0)), template)


def as_it_is(array: np.ndarray) -> np.ndarray:
    """What is read is the weight itself."""
    return array


def _torch_to(shape: Shape) -> Callable[[np.ndarray], np.ndarray]:
    """A function that turns an array's axes from PyTorch's order into Keras's."""

    def turned(array: np.ndarray) -> np.ndarray:
        if array.ndim == 4:
            array = array.transpose(2, 3, 1, 0)  # (out, in, h, w) -> (h, w, in, out)
            if len(shape) == 2 and array.shape[:2] == (1, 1):
                array = array[0, 0]  # a 1x1 convolution that is a product here
        elif array.ndim == 3:
            array = array.transpose(2, 1, 0)  # (out, in, k) -> (k, in, out)
        elif array.ndim == 2:
            array = array.T
        return array

    return turned
