"""Digits on a larger canvas: moved, among clutter, or two of them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from keras_attn._checks import check_non_negative_int, check_positive_int
from keras_attn.data.readers.digits import digit_images
from keras_attn.data.synthetic.scenes import Scenes

Digits: TypeAlias = "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]"


def cluttered_digits(
    count: int,
    size: int = 60,
    clutter: int = 4,
    piece: int = 8,
    *,
    digits: Digits | None = None,
    seed: int = 0,
) -> Scenes:
    """One digit anywhere on a black canvas, among pieces of others.

    The cluttered and translated digits of [Mnih et al., "Recurrent Models of Visual Attention",
    NIPS 2014](https://arxiv.org/abs/1406.6247), which have 60 x 60 pixels, and four pieces of 8 x 8
    of MNIST's digits of 28 x 28; without clutter they are the translated ones.

    Args:
        count: Number N of images.
        size: Height and width of an image.
        clutter: Number of pieces; each is cut anywhere out of any digit, and put anywhere.
        piece: Height and width of a piece.
        digits: (M, h, w) from 0 to 255, and (M,) classes, from which are drawn; `None` takes
            scikit-learn's, 8 x 8, which are in the extra `train`.
        seed: Decides everything.

    Returns:
        `Scenes` of one channel. Where a digit and a piece overlap, the brighter pixel is seen.

    Raises:
        ValueError: If a number is out of its range, the canvas is smaller than a digit, or a digit
            smaller than a piece.

    Example:

    >>> scenes = cluttered_digits(3, size=24, clutter=2, piece=4)
    >>> scenes.images.shape, scenes.labels.shape, scenes.boxes[0, 2:].tolist()
    ((3, 24, 24, 1), (3,), [0.3333333432674408, 0.3333333432674408])
    """
    check_non_negative_int("clutter", clutter)
    pixels, classes = _checked(count, size, digits, seed)
    height, width = pixels.shape[1:]
    if clutter and check_positive_int("piece", piece) > min(height, width):
        raise ValueError(
            "`piece` must be at most as large as a digit. "
            f"Received: piece={piece}, digits of {height} x {width}"
        )
    rng = np.random.default_rng(seed)
    images = np.zeros((count, size, size, 1), "uint8")
    which = rng.integers(len(pixels), size=count)
    boxes = np.empty((count, 4), "float32")
    for image, number, box in zip(images[..., 0], which, boxes, strict=True):
        for other in rng.integers(len(pixels), size=clutter):
            y, x = rng.integers([height - piece + 1, width - piece + 1])
            _draw(
                image,
                pixels[other, y : y + piece, x : x + piece],
                rng.integers(0, size - piece + 1, 2),
            )
        corner = rng.integers([size - height + 1, size - width + 1])
        box[:] = _draw(image, pixels[number], corner)
    return Scenes(images, classes[which], boxes)


def digit_pairs(
    count: int, size: int = 48, *, digits: Digits | None = None, seed: int = 0
) -> Scenes:
    """Two digits, the left one first, which overlap in no column.

    For [Ba et al., "Multiple Object Recognition with Visual Attention", ICLR
    2015](https://arxiv.org/abs/1412.7755), whose pairs of MNIST's digits stand on 100 x 100.

    Args:
        count: Number N of images.
        size: Height and width of an image, at least twice a digit's width.
        digits: See `cluttered_digits`, as for `seed`.
        seed: Decides everything.

    Returns:
        `Scenes` of one channel; labels are (N, 2), boxes (N, 2, 4).

    Raises:
        ValueError: If a number is out of its range, or the canvas too small.

    Example:

    >>> scenes = digit_pairs(3, size=24)
    >>> scenes.images.shape, scenes.labels.shape, scenes.boxes.shape
    ((3, 24, 24, 1), (3, 2), (3, 2, 4))
    """
    pixels, classes = _checked(count, size, digits, seed, side_by_side=2)
    height, width = pixels.shape[1:]
    rng = np.random.default_rng(seed)
    images = np.zeros((count, size, size, 1), "uint8")
    which = rng.integers(len(pixels), size=(count, 2))
    rows = rng.integers(size - height + 1, size=(count, 2))
    # Two places in what both widths leave, the second moved on by the first's width.
    columns = np.sort(rng.integers(size - 2 * width + 1, size=(count, 2)), axis=1) + [0, width]
    boxes = np.array(
        [
            [_draw(image, pixels[n], (y, x)) for n, y, x in zip(*each, strict=True)]
            for image, *each in zip(images[..., 0], which, rows, columns, strict=True)
        ],
        "float32",
    )
    return Scenes(images, classes[which], boxes.reshape(count, 2, 4))


def _draw(image: np.ndarray[Any, Any], part: np.ndarray[Any, Any], corner: Any) -> list[float]:
    """Draws a part into an image where it is brighter, and gives its box."""
    (y, x), (height, width), size = corner, part.shape, len(image)
    canvas = image[y : y + height, x : x + width]
    np.maximum(canvas, part, out=canvas)
    return [(2 * y + height) / size - 1, (2 * x + width) / size - 1, height / size, width / size]


def _checked(
    count: int, size: int, digits: Digits | None, seed: int, side_by_side: int = 1
) -> Digits:
    """The digits in uint8, and their classes in int64."""
    check_positive_int("count", count)
    check_positive_int("size", size)
    check_non_negative_int("seed", seed)
    pixels, classes = digit_images() if digits is None else map(np.asarray, digits)
    if pixels.ndim != 3 or classes.shape != pixels.shape[:1] or not len(pixels):
        raise ValueError(
            "`digits` must be (M, h, w) pixels and (M,) classes of one digit or more. "
            f"Received: digits with shapes {pixels.shape} and {classes.shape}"
        )
    height, width = pixels.shape[1:]
    least = max(height, side_by_side * width)
    if size < least:
        raise ValueError(
            f"`size` must be at least {least} for digits of {height} x {width}. "
            f"Received: size={size}"
        )
    return np.rint(np.clip(pixels, 0, 255)).astype("uint8"), classes.astype("int64")
