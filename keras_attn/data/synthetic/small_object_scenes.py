"""Scenes whose class hangs on a small digit beside a large shape that says nothing."""

from __future__ import annotations

import numpy as np

from keras_attn._checks import check_int, check_non_negative_int, check_positive_int
from keras_attn.data.synthetic.scenes import Scenes, check_noise, noisy_pixels

# The seven segments that are lit for each digit, as bits: top, upper left and right, middle, lower
# left and right, bottom.
SEGMENTS = (
    0b1110111,
    0b0010010,
    0b1011101,
    0b1011011,
    0b0111010,
    0b1101011,
    0b1101111,
    0b1010010,
    0b1111111,
    0b1111011,
)
SHAPES = ("disk", "square", "diamond")


def digit(number: int, height: int) -> np.ndarray:
    """A digit of seven segments.

    Args:
        number: 0 to 9.
        height: Its height in pixels, 5 or more; it is about three fifths as wide.

    Returns:
        bool (height, width), which pixels are lit.
    """
    thick, width = max(1, height // 8), max(3, round(height * 0.6))
    middle = (height - thick) // 2
    places = (
        (slice(0, thick), slice(None)),
        (slice(0, middle + thick), slice(0, thick)),
        (slice(0, middle + thick), slice(width - thick, None)),
        (slice(middle, middle + thick), slice(None)),
        (slice(middle, None), slice(0, thick)),
        (slice(middle, None), slice(width - thick, None)),
        (slice(height - thick, None), slice(None)),
    )
    drawn = np.zeros((height, width), bool)
    for lit, place in zip(f"{SEGMENTS[number]:07b}", places, strict=True):
        drawn[place] |= lit == "1"
    return drawn


def small_object_scenes(
    count: int,
    *,
    size: int = 96,
    digit_height: int = 12,
    classes: int = 10,
    noise: float = 10.0,
    seed: int = 0,
) -> Scenes:
    """Draws scenes: a small digit, the class, and a large shape beside it that doesn't matter.

    The digit is bright and stands anywhere; the shape, a disk, a square or a diamond of a random
    brightness, covers no part of it. Both stand on a ground with noise.

    Args:
        count: Number N of scenes.
        size: Height and width S of a scene, at least 4 times `digit_height`.
        digit_height: The digit's height in pixels, 5 or more.
        classes: Number of classes, 2 to 10: the digits 0 to `classes - 1`.
        noise: Standard deviation of the noise, in pixel values from 0 to 255.
        seed: Seed of all that is drawn.

    Returns:
        The scenes; the classes are as frequent as each other, but for a rest.

    Raises:
        ValueError: If an argument is outside what is said above.

    Example:
        >>> scenes = small_object_scenes(20)
        >>> scenes.images.shape, scenes.boxes.shape, np.bincount(scenes.labels).tolist()
        ((20, 96, 96, 1), (20, 4), [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    check_positive_int("count", count)
    check_int("digit_height", digit_height, "an integer of at least 5", least=5)
    check_int("size", size, "an integer of at least 4 times `digit_height`", least=4 * digit_height)
    check_int("classes", classes, "an integer from 2 to 10", least=2, most=10)
    check_non_negative_int("seed", seed)
    check_noise(noise)
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    images = np.empty((count, size, size), "float64")
    boxes = np.empty((count, 4), "float32")
    digits = [digit(number, digit_height) for number in range(classes)]
    height, width = digits[0].shape
    rows, columns = np.mgrid[:size, :size] + 0.5
    for image, box, label in zip(images, boxes, labels, strict=True):
        top, left = rng.integers(0, [size - height + 1, size - width + 1])
        image[:] = rng.uniform(20, 60)
        image[_shape(rng, rows, columns, (top, left, height, width))] = rng.uniform(90, 200)
        image[top : top + height, left : left + width][digits[label]] = 240
        centre = np.array([top + height / 2, left + width / 2])
        box[:] = *(2 * centre / size - 1), height / size, width / size
    pixels = noisy_pixels(rng, images, noise)[..., None]
    return Scenes(pixels, labels.astype("int64"), boxes)


def _shape(
    rng: np.random.Generator,
    rows: np.ndarray,
    columns: np.ndarray,
    digit_place: tuple[int, int, int, int],
) -> np.ndarray:
    """The pixels of a large shape, none of which is the digit's or beside it."""
    size = len(rows)
    top, left, height, width = digit_place
    kind = rng.choice(SHAPES)
    while True:  # a place that is free: there is one, as the digit is small
        radius = rng.uniform(size / 8, size / 5)
        y, x = rng.uniform(radius, size - radius, 2)
        across, down = np.abs(columns - x), np.abs(rows - y)
        far = {
            "disk": np.hypot(across, down),
            "square": np.maximum(across, down),
            "diamond": across + down,
        }[kind]
        covered: np.ndarray = far < radius
        around = (slice(max(0, a - 2), a + b + 2) for a, b in ((top, height), (left, width)))
        if not covered[tuple(around)].any():
            return covered
