"""Images and what is in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Scenes(NamedTuple):
    """Images with their classes and where what decides the class is."""

    images: np.ndarray[Any, Any]
    """uint8 (N, H, W, C)."""
    labels: np.ndarray[Any, Any]
    """int32 (N,), or (N, S) of S objects."""
    boxes: np.ndarray[Any, Any]
    """float32 (N, 4), or (N, S, 4): centre y, centre x, half the height, half the width, in pixels
    as `keras_attn.layers.BoxCrop2D` counts them."""
