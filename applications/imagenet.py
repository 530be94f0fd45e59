"""From the outputs of an ImageNet classifier to names."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from keras_attn.applications.imagenet_classes import CLASSES


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Names the classes that an ImageNet classifier thinks most likely.

    As keras.applications has it, but the names come with the package, not from a download.

    Args:
        preds: Array or tensor of shape (B, 1000).
        top: Positive integer, how many classes to name; at most 1000.

    Returns:
        For each image the classes by falling score, as (WordNet id, name, score).

    Raises:
        ValueError: If `preds` is of another shape, or `top` no positive integer.

    Example:

    >>> preds = np.zeros((1, 1000))
    >>> preds[0, 281] = 0.75
    >>> decode_predictions(preds, top=1)
    [[('n02123045', 'tabby', 0.75)]]
    """
    scores = np.asarray(ops.convert_to_numpy(preds))
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ValueError(
            "`decode_predictions` expects a batch of predictions (i.e. a 2D array of shape "
            f"(samples, 1000)). Received array with shape: {scores.shape}"
        )
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ValueError(f"`top` must be a positive integer. Received: top={top!r}")
    classes = [line.split(" ") for line in CLASSES.splitlines()]
    decoded = []
    for row in scores:
        best = np.argsort(-row, kind="stable")[:top]
        decoded.append([(classes[i][0], classes[i][1], float(row[i])) for i in best])
    return decoded


def class_names_of_imagenet() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes, in the order of the outputs.

    Returns:
        The names, as `decode_predictions` gives them.

    Example:

    >>> from keras_attn.applications.imagenet import class_names_of_imagenet
    >>> class_names_of_imagenet()[281]
    'tabby'
    """
    return tuple(line.split(" ")[1] for line in CLASSES.splitlines())
