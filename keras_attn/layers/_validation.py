"""Checks of what only layers have: choices, data formats, channels. The others: `_checks.py`."""

import keras

from keras_attn._checks import check_one_of
from keras_attn.typing import Shape


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Returns `value`, or raises with the list of `choices` if it isn't one."""
    # From a legacy .h5, Keras gives its function of that name where it has one ("average").
    value = getattr(value, "__name__", value)
    check_one_of(name, value, choices)
    return str(value)


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


def check_groups(
    groups: int, channels: int, input_shape: Shape, *, of_each: int = 1, name: str = "groups"
) -> int:
    """Returns the channels of a group, or raises if the groups don't divide the input's channels.

    Args:
        groups: Positive integer.
        channels: Number of input channels.
        input_shape: Shape of the input, for the error.
        of_each: What the channels of a group must be a multiple of.
        name: Name of the argument, for the error.
    """
    if channels % (groups * of_each):
        times = "" if of_each == 1 else f"{of_each} times "
        raise ValueError(
            f"The number of input channels must be divisible by {times}`{name}`. "
            f"Received: {name}={groups}, input_shape={tuple(input_shape)}"
        )
    return channels // groups
