"""How heat becomes colour: by fixed scales, so that two pictures can be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scale:
    """A range of values that the colours stand for; what lies outside takes the nearest.

    Attributes:
        low: Value of the first colour.
        high: Value of the last colour.
        unit: Name of what the values are.
        is_share: Whether heat is divided by its image's mean size first, as it has no unit of its
            own, or is a share of a whole.
    """

    low: float
    high: float
    unit: str
    is_share: bool = False

    def of(self, heat: np.ndarray) -> np.ndarray:
        """Heat (B, h, w) -> float32 (B, h, w), 0 to 1."""
        if self.is_share:
            mean = np.abs(heat).mean(axis=(1, 2), keepdims=True)
            heat = heat / np.where(mean == 0, 1, mean)
        return np.clip((heat - self.low) / (self.high - self.low), 0, 1).astype("float32")


GATE = Scale(0, 1, "gate")
WIDE_GATE = Scale(0, 2, "gate")
SHARE = Scale(0, 4, "times the mean", is_share=True)
SIGNED_SHARE = Scale(-4, 4, "times the mean size", is_share=True)
