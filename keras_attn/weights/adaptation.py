"""Weights for a network that differs a little: other classes, input channels, table sizes."""

from __future__ import annotations

import math
import re
from typing import Any

import keras
import numpy as np

from keras_attn.layers.self_attention.relative_positions import stretch_relative_table

HEAD = re.compile(r"(.*/)?predictions/(kernel|bias)")
MOST_TIMES, SPARE = 4, 1 << 20  # how many times a weight's numbers a file's may be
TABLE = re.compile(r"(.*/)?relative_(width|height)(/.*)?")


def adapt(
    path: str, array: np.ndarray, shape: tuple[int, ...], is_first_kernel: bool
) -> tuple[np.ndarray | None, str]:
    """Fits an array to a weight of another shape, where that has a meaning.

    The classifier of another number of classes is left as it is. A table of relative positions is
    stretched linearly. A first kernel for RGB is summed for one input channel, and otherwise
    repeated over the channels and scaled, so that a grey image has the response that it had.

    Args:
        path: The weight's path.
        array: The array of the file, its axes in Keras's order.
        shape: The weight's shape.
        is_first_kernel: Whether the weight is the network's first kernel.

    Returns:
        The array to set, or `None` to leave the weight, and what was done in words; `""` as these
        where there is no way.
    """
    if HEAD.fullmatch(path) and array.ndim == len(shape) and array.shape[:-1] == shape[:-1]:
        return (
            None,
            f"a new classifier of {shape[-1]} classes, where the file has {array.shape[-1]}",
        )
    if array.size > most_numbers(shape):
        return None, ""
    if TABLE.fullmatch(path) and array.ndim == 2 and array.shape[1:] == shape[1:]:
        stretched = stretch_relative_table(array, (shape[0] + 1) // 2)
        done = f"{path} stretched linearly from {array.shape[0]} to {shape[0]} rows"
        return keras.ops.convert_to_numpy(stretched), done
    but_channels = (*array.shape[:2], 3, array.shape[-1]) if array.ndim == len(shape) == 4 else ()
    if (
        is_first_kernel
        and array.shape == but_channels
        and shape[:2] + shape[3:] == (array.shape[:2] + array.shape[3:])
    ):
        done = f"{path} adapted from 3 to {shape[2]} input channels"
        return adapt_input_channels(array, shape[2]), done
    return None, ""


def most_numbers(shape: tuple[int, ...]) -> int:
    """How many numbers may be read for a weight of this shape."""
    return MOST_TIMES * math.prod(shape) + SPARE


def adapt_input_channels(kernel: Any, channels: int) -> np.ndarray:
    """A kernel for RGB, made for another number of input channels.

    Args:
        kernel: Array of shape (h, w, 3, F).
        channels: Positive integer.

    Returns:
        Array of shape (h, w, channels, F): the sum over RGB for one channel; else red, green and
        blue in turn, times 3 / channels.

    Example:

    >>> adapt_input_channels(np.ones((1, 1, 3, 1)), 4).ravel()
    array([0.75, 0.75, 0.75, 0.75])
    """
    kernel = np.asarray(kernel)
    if channels == 1:
        adapted: np.ndarray = kernel.sum(axis=2, keepdims=True)
    else:
        adapted = kernel[:, :, np.arange(channels) % 3] * (3 / channels)
    return adapted
