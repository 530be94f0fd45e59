"""From the outputs of a classifier to the names of the likeliest classes."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.typing import Tensor
from keras_attn.weights.markers import get_metadata

Decoded = list[list[tuple[str, str, float]]]


def labels_of(model: keras.Model | None) -> str | tuple[str, ...] | None:
    """What a model's weights call its classes: `"imagenet"`, the names, or `None` for unknown."""
    metadata = None if model is None else get_metadata(model)
    return None if metadata is None else metadata.labels


def name_predictions(preds: Tensor, names: Sequence[tuple[str, str]], top: int) -> Decoded:
    """The classes of each image by falling score.

    Args:
        preds: Array or tensor of shape (B, classes).
        names: The id and the name of each class.
        top: Positive integer, how many classes to name.

    Raises:
        ValueError: If `preds` is of another shape, or `top` no positive integer.
    """
    scores = np.asarray(ops.convert_to_numpy(preds))
    if scores.ndim != 2 or scores.shape[1] != len(names):
        raise ValueError(
            "`decode_predictions` expects a batch of predictions (i.e. a 2D array of shape "
            f"(samples, {len(names)})). Received array with shape: {scores.shape}"
        )
    top = check_positive_int("top", top)
    decoded = []
    for row in scores:
        best = np.argsort(-row, kind="stable")[:top]
        decoded.append([(*names[i], float(row[i])) for i in best])
    return decoded


def numbered(names: Sequence[str]) -> list[tuple[str, str]]:
    """Names of classes that have no ids but their numbers."""
    return [(str(number), name) for number, name in enumerate(names)]
