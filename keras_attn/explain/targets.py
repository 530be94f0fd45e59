"""The class that a picture is about, and its score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from keras_attn._hints import did_you_mean
from keras_attn.typing import Tensor

Target: TypeAlias = int | str | None
"""A class by its number or name; `None` means the most likely one of each image."""


def find_classes(
    target: Target | Sequence[Target], outputs: np.ndarray, class_names: Sequence[str] | None
) -> np.ndarray:
    """The number of the class that each image is explained for.

    Args:
        target: The class, or a sequence of one for each image.
        outputs: (B, K) of the model.
        class_names: The classes' names, K.

    Returns:
        int64 (B,).

    Raises:
        ValueError: If there is no such class, or not one for each image.
    """
    if class_names is not None and len(class_names) != outputs.shape[1]:
        raise ValueError(
            f"`class_names` must name the model's {outputs.shape[1]} classes. "
            f"Received: {len(class_names)} names"
        )
    targets: list[Target]
    if target is None or isinstance(target, int | np.integer | str):
        targets = [target] * len(outputs)
    else:
        targets = list(target)
    if len(targets) != len(outputs):
        raise ValueError(
            f"`target` must be a class, or one for each of {len(outputs)} images. "
            f"Received: {len(targets)} classes"
        )
    likely = outputs.argmax(axis=1)
    return np.array(
        [
            likely[index] if each is None else _number(each, outputs.shape[1], class_names)
            for index, each in enumerate(targets)
        ],
        "int64",
    )


def _number(target: int | str, classes: int, class_names: Sequence[str] | None) -> int:
    if isinstance(target, str):
        if class_names is not None and target in class_names:
            return list(class_names).index(target)
        if not target.isdigit():
            hint = "" if class_names is None else did_you_mean(target, class_names)
            raise ValueError(
                "`target` must be the number of a class, or the name of one where "
                f"`class_names` are given. Received: target={target!r}{hint}"
            )
    number = int(target)
    if not 0 <= number < classes:
        raise ValueError(
            f"`target` must be a class from 0 to {classes - 1}. Received: target={target!r}"
        )
    return number


def gives_scores(model: keras.Model) -> bool:
    """Whether the model gives one score for each class."""
    return [len(output.shape) for output in model.outputs] == [2]


def check_scores(model: keras.Model) -> None:
    """Raises a ValueError unless the model gives one score for each class."""
    if not gives_scores(model):
        shapes = [tuple(output.shape) for output in model.outputs]
        raise ValueError(
            "`model` must give one score for each class, (B, K). "
            f"Received: model {model.name!r}, which gives {', '.join(map(str, shapes))}"
        )


def probabilities_of(outputs: np.ndarray) -> np.ndarray:
    """The outputs as they are where they lie within 0 and 1, and their softmax otherwise."""
    if ((outputs >= 0) & (outputs <= 1)).all():
        return outputs
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def score_of(outputs: Tensor, classes: np.ndarray) -> Tensor:
    """The sum of each image's own class's score: its gradient is each image's own."""
    chosen = ops.one_hot(ops.convert_to_tensor(classes, "int32"), outputs.shape[1], dtype="float32")
    return ops.sum(ops.cast(outputs, "float32") * chosen)
