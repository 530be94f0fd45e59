"""Softmax over the places of a map."""

from __future__ import annotations

from typing import Any

from keras import ops


def softmax_places(logits: Any) -> Any:
    """Softmax over the last axis, the places of a map.

    On a map of one place the weight is 1: Keras warns of a softmax over one value, but there it
    is meant.
    """
    return ops.ones_like(logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)
