"""The slow judge: what a class's score loses where a part of the image is covered."""

from __future__ import annotations

import keras
import numpy as np

from keras_attn._checks import check_int
from keras_attn.explain.maps import to_numpy
from keras_attn.explain.watching import scores_before_probabilities


def occlusion(
    model: keras.Model,
    images: np.ndarray,
    classes: np.ndarray,
    patch: int | None = None,
    stride: int | None = None,
    batch_size: int = 32,
) -> np.ndarray:
    """Zeiler and Fergus, ECCV 2014, section 4.2: the score's loss by each patch that is covered.

    A patch has the mean colour of its image.

    Args:
        model: The model.
        images: (B, H, W, C).
        classes: (B,), the class of each image.
        patch: Side of the patch in pixels, by default an eighth of the image's shorter side.
        stride: Pixels from one patch to the next, by default half of `patch`.
        batch_size: Images in each forward pass.

    Returns:
        float32 (B, h, w), the mean loss over the patches that cover a place.

    Raises:
        ValueError: If `patch` is larger than the image, or a number is no positive integer.
    """
    images = images.astype("float32")
    height, width = images.shape[1:3]
    shorter = min(height, width)
    patch = max(1, shorter // 8) if patch is None else patch
    check_int("patch", patch, "a positive integer, at most the image's side", most=shorter)
    stride = max(1, patch // 2) if stride is None else stride
    check_int("stride", stride, "a positive integer, at most `patch`", most=patch)
    check_int("batch_size", batch_size, "a positive integer")
    rows, columns = (
        sorted({*range(0, side - patch + 1, stride), side - patch}) for side in (height, width)
    )
    places = [(row, column) for row in rows for column in columns]
    heats = []
    for image, number in zip(images, classes, strict=True):
        covered = np.repeat(image[None], len(places) + 1, axis=0)  # the last one is whole
        for index, (row, column) in enumerate(places):
            covered[index, row : row + patch, column : column + patch] = image.mean(axis=(0, 1))
        scores = _scores(model, covered, batch_size)[:, number]
        loss, count = np.zeros((height, width)), np.zeros((height, width))
        for (row, column), score in zip(places, scores, strict=False):
            loss[row : row + patch, column : column + patch] += scores[-1] - score
            count[row : row + patch, column : column + patch] += 1
        heats.append(loss / count)
    return np.stack(heats).astype("float32")


def _scores(model: keras.Model, images: np.ndarray, batch_size: int) -> np.ndarray:
    with scores_before_probabilities(model):
        return np.concatenate(
            [
                to_numpy(model(images[start : start + batch_size], training=False))
                for start in range(0, len(images), batch_size)
            ]
        )
