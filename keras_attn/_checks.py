"""Checks of arguments, worded alike in every room. Those of layers: `layers/_validation.py`."""

from __future__ import annotations

from collections.abc import Collection
from typing import SupportsIndex


def check_int(
    name: str, value: object, rule: str, *, least: int = 1, most: float = float("inf")
) -> int:
    """Returns `value` as an int, or raises if it is no integer from `least` to `most`.

    NumPy's integers count. A bool is an int in Python and never what is meant.

    Args:
        name: Name of the argument, for the error.
        value: The argument.
        rule: The rule for the error, behind "must be", such as "a positive integer".
        least: The lowest value.
        most: The highest value.

    Raises:
        ValueError: If the argument breaks the rule.

    Example:

    >>> from keras_attn._checks import check_int
    >>> check_int("port", 8501, "an integer from 0 to 65535", least=0, most=65535)
    8501
    """
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        number = value.__index__()
        if least <= number <= most:
            return number
    raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")


def check_positive_int(name: str, value: object) -> int:
    """Returns `value` as an int, or raises if it isn't a positive integer."""
    return check_int(name, value, "a positive integer")


def check_non_negative_int(name: str, value: object) -> int:
    """Returns `value` as an int, or raises if it is negative or no integer."""
    return check_int(name, value, "an integer of at least 0", least=0)


def check_pair(name: str, value: object) -> tuple[int, int]:
    """Returns `value`, a positive integer or two of them, as `(height, width)`."""
    pair = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    if len(pair) != 2:
        raise ValueError(
            f"`{name}` must be a positive integer or two of them. Received: {name}={value!r}"
        )
    return check_positive_int(name, pair[0]), check_positive_int(name, pair[1])


def check_divisible(name: str, value: int, divisor_name: str, divisor: int) -> int:
    """Returns `value`, or raises if it is no positive multiple of `divisor`."""
    check_positive_int(name, value)
    if value % divisor:
        raise ValueError(
            f"`{name}` must be divisible by `{divisor_name}`. "
            f"Received: {name}={value}, {divisor_name}={divisor}"
        )
    return value


def check_odd(name: str, value: object) -> int:
    """Returns `value` as an int, or raises if it isn't a positive odd integer."""
    number = check_positive_int(name, value)
    if number % 2 == 0:
        raise ValueError(f"`{name}` must be odd. Received: {name}={value!r}")
    return number


def check_one_of(name: str, value: object, choices: Collection[object]) -> None:
    """Raises with the list of `choices` if `value` isn't one."""
    if value not in choices:
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"`{name}` must be one of {listed}. Received: {name}={value!r}")
