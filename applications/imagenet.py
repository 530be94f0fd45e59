"""From the outputs of an ImageNet classifier to names."""

from __future__ import annotations

import functools
from importlib import resources

import keras

from keras_attn.applications.common.predictions import (
    Decoded,
    labels_of,
    name_predictions,
    numbered,
)
from keras_attn.typing import Tensor


@functools.cache
def classes() -> tuple[tuple[str, str], ...]:
    """The WordNet ids and names of ImageNet's 1000 classes, in the order of the outputs.

    Source: TensorFlow Datasets 4.9 (Apache License 2.0), the ids from `imagenet2012/labels.txt`,
    of each class in `siscore/labels.py` the first name.
    """
    folder = resources.files("keras_attn.applications.common")
    lines = folder.joinpath("imagenet_classes.txt").read_text(encoding="utf-8").splitlines()
    return tuple((line.split(" ")[0], line.split(" ")[1]) for line in lines)


def decode_predictions(preds: Tensor, top: int = 5, *, model: keras.Model | None = None) -> Decoded:
    """Names the classes that an ImageNet classifier thinks most likely.

    As keras.applications has it, but the names come with the package, not from a download, and
    other names from a model's weights.

    Args:
        preds: Array or tensor of shape (B, 1000); of a model whose weights have names of their
            own, of as many classes.
        top: Positive integer, how many classes to name at most.
        model: The network, whose weights may have names.

    Returns:
        For each image the classes by falling score, as (WordNet id, name, score). Names of a
        model's weights have their number for an id.

    Raises:
        ValueError: If `preds` is of another shape, or `top` no positive integer.

    Example:

    >>> preds = np.zeros((1, 1000))
    >>> preds[0, 281] = 0.75
    >>> decode_predictions(preds, top=1)
    [[('n02123045', 'tabby', 0.75)]]
    """
    labels = labels_of(model)
    names = classes() if labels is None or labels == "imagenet" else numbered(labels)
    return name_predictions(preds, names, top)


def class_names_of_imagenet() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes, in the order of the outputs.

    Returns:
        The names, as `decode_predictions` gives them.

    Example:

    >>> from keras_attn.applications.imagenet import class_names_of_imagenet
    >>> class_names_of_imagenet()[281]
    'tabby'
    """
    return tuple(name for _, name in classes())
