"""Boxes of crops of crops, as boxes of the image that the first was cut from."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers.contract import Form
from keras_attn.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class NestedBoxes(keras.layers.Layer):
    """Places boxes, each a part of what the one before it shows, in the first one's image.

    Input shape:
        A list of S boxes (B, 4) in `BoxCrop2D`'s normalized units, from the outermost.

    Output shape:
        (B, S, 4), float32 or wider; the attention, which `explain` draws, is (B, S, 1, 4).
    """

    attention_form: Form | None = "boxes"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})

    def call(self, inputs: list[Tensor], return_attention: bool = False) -> Any:
        """Returns the boxes, from the outermost."""
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        outer, *inner = (ops.cast(box, dtype) for box in inputs)
        placed = [outer]
        for box in inner:
            last = placed[-1]
            centre = last[:, :2] + box[:, :2] * last[:, 2:]
            placed.append(ops.concatenate([centre, box[:, 2:] * last[:, 2:]], axis=-1))
        boxes = ops.stack(placed, axis=1)
        return (boxes, boxes[:, :, None, :]) if return_attention else boxes
