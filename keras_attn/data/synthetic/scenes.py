"""Images and what is known of them, and what the generators share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Scenes(NamedTuple):
    """Images with their classes, and where what decides the class is.

    Attributes:
        images: uint8 (N, H, W, C).
        labels: int64 (N,), or (N, S) of S objects.
        boxes: float32 (N, 4), or (N, S, 4), in the normalized units of
            `keras_attn.layers.BoxCrop2D`: centre y, centre x, half the height, half the width.
    """

    images: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    boxes: np.ndarray[Any, Any]


def integer_range(name: str, value: Any, least: int, most: int) -> tuple[int, int]:
    """The two numbers of an argument; raises a ValueError if they aren't a range within bounds."""
    pair = list(value) if isinstance(value, tuple | list) else []
    if len(pair) == 2 and all(isinstance(each, int | np.integer) for each in pair):
        low, high = map(int, pair)
        if least <= low <= high <= most:
            return low, high
    rule = f"two integers from {least} to {most}, the lesser first"
    raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")


def check_noise(noise: float) -> None:
    """Raises a ValueError if it is negative, or NaN."""
    if not noise >= 0:
        raise ValueError(f"`noise` must be 0 or more. Received: noise={noise!r}")


def noisy_pixels(
    rng: np.random.Generator, images: np.ndarray[Any, Any], noise: float
) -> np.ndarray[Any, Any]:
    """Images of pixel values from 0 to 255 with noise of that deviation, as uint8."""
    noisy = images + rng.normal(0, noise, images.shape)
    pixels: np.ndarray[Any, Any] = np.clip(np.round(noisy), 0, 255).astype("uint8")
    return pixels


def texture(
    rng: np.random.Generator, size: int, colour: Any, deviation: float = 15.0
) -> np.ndarray[Any, Any]:
    """A smooth ground around a colour.

    Args:
        rng: What draws it.
        size: Height and width.
        colour: (3,), pixel values from 0 to 255.
        deviation: The standard deviation of its nodes, 12 pixels apart.

    Returns:
        float64 (size, size, 3).
    """
    cells = max(2, size // 12)
    coarse = colour + rng.normal(0, deviation, (cells, cells, 3))
    place = np.linspace(0, cells - 1, size)
    hats = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(cells)))  # (size, cells)
    return np.asarray(np.einsum("ih,hwc,jw->ijc", hats, coarse, hats, optimize=True))
