"""The mask of each object, cut to its box: what a mask head learns."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_attn._checks import check_positive_int
from keras_attn.data.synthetic.shape_scenes import ShapeScenes


def mask_crops(scenes: ShapeScenes, size: int = 28) -> np.ndarray[Any, Any]:
    """Cuts each object's mask to its box and resizes it, bilinear, with 1/2 as the threshold.

    Args:
        scenes: As `shape_scenes` draws them; their boxes are the regions.
        size: Height and width m of a mask.

    Returns:
        uint8 (N, M, m, m), 1 where the object is seen; 0 of no object.

    Raises:
        ValueError: If `size` isn't a positive integer.

    Example:
        >>> scenes = shape_scenes(8, size=64, objects=(3, 3), sides=(16, 36))
        >>> mask_crops(scenes).shape
        (8, 3, 28, 28)
    """
    check_positive_int("size", size)
    count, height, width = scenes.instances.shape
    most = scenes.labels.shape[1]
    crops = np.zeros((count, most, size, size), "uint8")
    steps = (2 * np.arange(size) + 1) / size - 1  # -1 to 1 within the box
    for crop, boxes, instances in zip(crops, scenes.boxes, scenes.instances, strict=True):
        for number in range(most):
            if not boxes[number, 2:].all():
                continue
            rows, columns = (
                _hats((boxes[number, axis] + steps * boxes[number, axis + 2] + 1) / 2, length)
                for axis, length in enumerate((height, width))
            )
            crop[number] = rows @ (instances == number + 1) @ columns.T >= 0.5
    return crops


def _hats(places: np.ndarray, length: int) -> np.ndarray:
    """The weights (m, length) of pixels in samples at places from 0 to 1; the edge goes on."""
    centres = np.clip(places * length - 0.5, 0, length - 1)
    hats: np.ndarray = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(length)))
    return hats
