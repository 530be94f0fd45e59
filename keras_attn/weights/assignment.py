"""Setting the weights of a network: all of them, or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np


def fitted(array: np.ndarray, weight: keras.Variable) -> np.ndarray:
    """An array of the weight's kind of numbers, checked.

    Args:
        array: Array of the weight's shape.
        weight: The weight.

    Returns:
        The array in the weight's dtype.

    Raises:
        ValueError: If the numbers are of another kind, such as integers for a weight of floats, or
            are not finite in the weight's dtype.
    """
    theirs, ours = number_kind(array.dtype), number_kind(weight.dtype)
    if theirs != ours:
        raise ValueError(f"{weight.path} takes {ours} numbers. Received: {array.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(np.dtype(weight.dtype), copy=False)
    if ours == "integer" and not np.array_equal(cast, array):
        raise ValueError(f"{weight.path} takes {weight.dtype}, which its numbers are beyond")
    check_finite(cast, weight.path)
    return cast


def number_kind(dtype: object) -> str:
    """The kind of numbers of a dtype, of NumPy or Keras, in words."""
    name = str(dtype)
    for start, kind in (("float", "real"), ("bfloat", "real"), ("bool", "boolean")):
        if name.startswith(start):
            return kind
    return "integer" if name.startswith(("int", "uint")) else name


def check_finite(array: np.ndarray, name: str) -> None:
    """Raises where an array has infinities or no numbers.

    Args:
        array: The array.
        name: Name of the weight in the error.

    Raises:
        ValueError: If a value isn't finite.
    """
    if array.dtype.kind in "iub":
        return
    finite = np.isfinite(array)
    if not finite.all():
        raise ValueError(f"{name} has {finite.size - np.count_nonzero(finite)} values not finite")


def copy_of(variable: keras.Variable) -> np.ndarray:
    """A variable's value."""
    return np.array(keras.ops.convert_to_numpy(variable.value))


def assign_all(values: list[tuple[keras.Variable, np.ndarray]]) -> None:
    """Sets variables: all of them, or none.

    Args:
        values: Variables, and what to set them to. The list is used up.

    Raises:
        Exception: Where a backend raises one; the variables are then as they were.
    """
    done = 0
    try:
        for i, (variable, value) in enumerate(values):
            # The old value takes the new one's place: no more memory than before.
            values[i] = (variable, copy_of(variable))
            done = i + 1
            variable.assign(value)
    except BaseException:
        for variable, old in values[:done]:
            variable.assign(old)
        raise


@contextmanager
def all_or_nothing(model: keras.Model) -> Iterator[None]:
    """Puts a network's variables back where what is done inside raises.

    Args:
        model: The network.

    Yields:
        Nothing.
    """
    before = [(each, copy_of(each)) for each in model.variables]
    try:
        yield
    except BaseException:
        for variable, old in before:
            variable.assign(old)
        raise
