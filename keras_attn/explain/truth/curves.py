"""Deletion and insertion: whether the pixels that a heat map names are those that count."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_attn._checks import check_int, check_one_of
from keras_attn.explain.maps import check_images, to_numpy
from keras_attn.explain.targets import check_scores, probabilities_of


def deletion_curve(
    model: keras.Model,
    images: np.ndarray,
    heat: np.ndarray,
    classes: np.ndarray,
    *,
    steps: int = 16,
    kind: str = "deletion",
) -> np.ndarray:
    """The class's probability as pixels go, those of the most heat first (Petsiuk et al., BMVC 2018).

    A pixel that is gone has the mean colour of its image. A heat map that is true makes deletion
    fall fast, and insertion, which begins without any pixel, rise fast. The mean over the curve is
    the area under it.

    Args:
        model: A classifier, whose output is (B, K).
        images: (B, H, W, C), as the model takes them.
        heat: (B, h, w), stretched over the images.
        classes: (B,), each image's class.
        steps: Number of equal parts in which the pixels go.
        kind: `"deletion"` or `"insertion"`.

    Returns:
        float32 (B, steps + 1), from no part changed to all.

    Raises:
        ValueError: If an argument doesn't fit.

    Example:

    >>> found = heat_maps(model, images)
    >>> deletion_curve(model, images, found.heat, found.classes).mean(axis=1)  # less is better
    """  # noqa: E501
    images = check_images(model, images).astype("float32")
    check_scores(model)
    check_int("steps", steps, "a positive integer")
    check_one_of("kind", kind, ("deletion", "insertion"))
    heat = resized(heat, images.shape[1:3])
    if len(heat) != len(images) or len(classes) != len(images):
        raise ValueError(
            f"`heat` and `classes` must be of {len(images)} images. "
            f"Received: {len(heat)} and {len(classes)}"
        )
    batch, places = len(images), heat[0].size
    order = np.argsort(-heat.reshape(batch, -1), axis=1, kind="stable")
    rank = np.argsort(order, axis=1).reshape(heat.shape)
    gone = np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape)
    first, second = (images, gone) if kind == "deletion" else (gone, images)
    curve = []
    for step in range(steps + 1):
        changed = (rank < step * places / steps)[..., None]
        mixed = ops.convert_to_tensor(np.where(changed, second, first), "float32")
        outputs = probabilities_of(to_numpy(model(mixed, training=False)))
        curve.append(outputs[np.arange(batch), classes])
    return np.stack(curve, axis=1)


def resized(heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Heat (B, h, w) stretched over (H, W), bilinear."""
    heat = np.asarray(heat, "float32")
    if heat.ndim != 3 or not np.isfinite(heat).all():
        raise ValueError(f"`heat` must be (B, h, w), finite. Received: shape {heat.shape}")
    if heat.shape[1:] == tuple(size):
        return heat
    tensor = ops.convert_to_tensor(heat[..., None])
    return to_numpy(
        ops.image.resize(tensor, size, interpolation="bilinear", data_format="channels_last")
    )[..., 0]
