"""Convolutions and resizing of maps in NumPy, written without the library's own."""

from __future__ import annotations

import numpy as np


def resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(B, h, w, C) resized bilinearly: half-pixel centres, held inside the map."""
    rows, columns = (_hats(*sides) for sides in zip(x.shape[1:3], size, strict=True))
    return np.einsum("ih,bhwc,jw->bijc", rows, x.astype("float64"), columns)


def _hats(size_in: int, size_out: int) -> np.ndarray:
    place = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(size_in)))


def conv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | float = 0.0, dilation: int = 1):
    """A convolution of an odd kernel with zeros around the map, (B, h, w, C)."""
    reach = dilation * (kernel.shape[0] // 2)
    padded = np.pad(x, [(0, 0), (reach, reach), (reach, reach), (0, 0)])
    height, width = x.shape[1:3]
    total = 0.0
    for i, j in np.ndindex(kernel.shape[:2]):
        part = padded[:, i * dilation :, j * dilation :][:, :height, :width]
        total = total + part @ kernel[i, j].astype("float64")
    return total + bias


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
