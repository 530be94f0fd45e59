"""A network from images to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_attn.layers import BoxDecoder
from keras_attn.layers.detection.box_decoder import as_arrays


@keras.saving.register_keras_serializable(package="keras_attn")
class Detector(keras.Model):
    """A functional model from images to the dict of `BoxDecoder`, and which boxes it tells.

    Args:
        *args: Inputs and outputs, as `keras.Model` takes them.
        class_names: Names of the K classes.
        **kwargs: Arguments of `keras.Model`.
    """

    def __init__(self, *args: Any, class_names: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        classes = int(self.output["probabilities"].shape[-1])
        if class_names is not None and len(class_names) != classes:
            raise ValueError(
                f"`class_names` must name the {classes} classes. Received: {len(class_names)} names"
            )
        self.class_names = None if class_names is None else list(class_names)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "class_names": self.class_names}

    @property
    def decoder(self) -> BoxDecoder:
        """What makes the boxes."""
        return next(layer for layer in self.layers if isinstance(layer, BoxDecoder))

    def detect(self, images: Any, batch_size: int = 32) -> list[dict[str, np.ndarray[Any, Any]]]:
        """The boxes of each image, the likeliest first.

        Args:
            images: (B, H, W, C), as the network takes them.
            batch_size: How many images at once.

        Returns:
            For each image `"boxes"` (M, 4), left, top, width and height in pixels, `"scores"` (M,)
            and `"classes"` (M,). M is the number of boxes that were found.
        """
        found = self.predict(images, batch_size, verbose=0)
        told: list[dict[str, np.ndarray[Any, Any]]] = []
        for start in range(0, len(found["boxes"]), batch_size):
            part = {name: value[start : start + batch_size] for name, value in found.items()}
            told += as_arrays(self.decoder.select(part))
        return told
