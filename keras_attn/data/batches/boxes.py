"""The parts of photographs that "random_resized_crop" draws, in whole pixels of their own.

As torchvision's RandomResizedCrop, which most recipes since were trained with: a part of 8 to 100 %
of the area and of 3:4 to 4:3, drawn up to ten times until it lies within the picture, and else the
centre as far as those proportions allow.
"""

from __future__ import annotations

import math

import numpy as np

# Share of the area and width by height of the part that is cut out. From "Going Deeper with
# Convolutions" (Szegedy et al. 2014, section 6), the ImageNet recipe since.
RESIZED_CROP_AREA = (0.08, 1.0)
RESIZED_CROP_ASPECT = (3 / 4, 4 / 3)
TRIES = 10
NUMBERS = 2 * TRIES + 2  # that a box is made of

Box = tuple[int, int, int, int]


def draw_box(uniform: np.ndarray, height: int, width: int) -> Box:
    """A part of a picture.

    Args:
        uniform: Numbers from 0 to 1, float32 `(NUMBERS,)`: for each try one for the area and one
            for the proportions, and two for the place.
        height: Height of the picture.
        width: Width of the picture.

    Returns:
        Top, left, height and width of the part.

    Example:
        >>> draw_box(np.full(NUMBERS, 0.5, "float32"), 375, 500)
        (29, 91, 318, 318)
    """
    numbers = uniform.astype("float64")
    tries = numbers[: 2 * TRIES].reshape(TRIES, 2)
    (least, most), (narrow, wide) = RESIZED_CROP_AREA, RESIZED_CROP_ASPECT
    area = height * width * (least + (most - least) * tries[:, 0])
    aspect = narrow * (wide / narrow) ** tries[:, 1]
    broad = np.rint(np.sqrt(area * aspect)).astype(int)
    tall = np.rint(np.sqrt(area / aspect)).astype(int)
    fits = (broad >= 1) & (tall >= 1) & (broad <= width) & (tall <= height)
    if not fits.any():
        rows = min(height, round(width / narrow))
        columns = min(width, round(height * wide))
        return (height - rows) // 2, (width - columns) // 2, rows, columns
    first = int(fits.argmax())
    rows, columns = int(tall[first]), int(broad[first])
    top, left = numbers[2 * TRIES] * (height - rows + 1), numbers[-1] * (width - columns + 1)
    return (
        min(math.floor(top), height - rows),
        min(math.floor(left), width - columns),
        rows,
        columns,
    )
