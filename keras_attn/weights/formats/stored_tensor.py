"""A tensor that is still in its file: its shape is known, its numbers are read when asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that is still in its file.

    Attributes:
        shape: Shape of the array that is read.
        dtype: Dtype of the array that is read. bfloat16 is read as float32.
        read: Reads the array.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    @property
    def nbytes(self) -> int:
        """What the array takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.read()
        return array if dtype is None else array.astype(dtype)


def widened(data: bytes | bytearray, byteorder: str = "<") -> np.ndarray:
    """bfloat16 as float32, of which it is the upper half.

    Args:
        data: The numbers.
        byteorder: `"<"` or `">"`.

    Returns:
        A flat array.
    """
    halves = np.frombuffer(data, f"{byteorder}u2").astype("u4") << 16
    return halves.astype("u4").view("f4")
