"""The pointing game: whether the hottest place lies on the object."""

from __future__ import annotations

import numpy as np

from keras_attn.explain.truth.curves import resized


def pointing_game(heat: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Whether each image's hottest place lies on its object (Zhang et al., ECCV 2016).

    Heat without any hottest place, the same everywhere, misses.

    Args:
        heat: (B, h, w), stretched over the images.
        objects: bool (B, H, W), where each image's object is.

    Returns:
        bool (B,); its mean is the share of hits.

    Raises:
        ValueError: If the shapes don't fit.

    Example:

    >>> heat, objects = np.zeros((1, 4, 4)), np.zeros((1, 4, 4), bool)
    >>> heat[0, 1, 2], objects[0, 1:3, 2:] = 1, True
    >>> pointing_game(heat, objects)
    array([ True])
    """
    objects = np.asarray(objects, bool)
    if objects.ndim != 3 or len(objects) != len(heat):
        raise ValueError(
            f"`objects` must be (B, H, W) of {len(heat)} images. "
            f"Received: objects with shape {objects.shape}"
        )
    flat = resized(heat, objects.shape[1:]).reshape(len(objects), -1)
    hits = objects.reshape(len(objects), -1)[np.arange(len(objects)), flat.argmax(axis=1)]
    return np.asarray(hits & (np.ptp(flat, axis=1) > 0))
