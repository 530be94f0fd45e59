"""Checks of constructor arguments, worded alike in every layer."""

from typing import SupportsIndex

import keras

from keras_attn.typing import Shape


def check_positive_int(name: str, value: object) -> int:
    """Returns `value` as an int, or raises if it isn't a positive integer."""
    return _check_int(name, value, minimum=1, rule="a positive integer")


def check_non_negative_int(name: str, value: object) -> int:
    """Returns `value` as an int, or raises if it is negative or no integer."""
    return _check_int(name, value, minimum=0, rule="an integer of at least 0")


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


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Returns `value`, or raises with the list of `choices` if it isn't one."""
    # From a legacy .h5, Keras gives its function of that name where it has one ("average").
    value = getattr(value, "__name__", value)
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}. Received: {name}={value!r}")
    return value


def check_data_format(value: str | None) -> str:
    """Returns `value`, or Keras's global image data format where it is `None`."""
    if value is None:
        return str(keras.config.image_data_format())
    return check_choice("data_format", value, ("channels_last", "channels_first"))


def check_channels(layer: str, input_shape: Shape, data_format: str) -> int:
    """Returns the number of an input's channels, or raises if it isn't known."""
    channels = input_shape[3 if data_format == "channels_last" else 1]
    if channels is None:
        raise ValueError(
            f"The channel axis of {layer}'s input must have a size. "
            f"Received: input_shape={tuple(input_shape)}, data_format={data_format!r}"
        )
    return channels


def _check_int(name: str, value: object, minimum: int, rule: str) -> int:
    # numpy integers count; bool is an int in Python and never what is meant here.
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    number = value.__index__()
    if number < minimum:
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    return number
