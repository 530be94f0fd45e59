"""Softmax over the places of a map."""

from __future__ import annotations

from keras import ops

from keras_attn.typing import Tensor


def softmax_places(logits: Tensor) -> Tensor:
    """Softmax over the last axis, the places of a map.

    On a map of one place the weight is 1: Keras warns of a softmax over one value, but there it
    is meant.
    """
    return ops.ones_like(logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)
