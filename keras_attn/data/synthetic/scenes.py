"""Images and what is known of them."""

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
