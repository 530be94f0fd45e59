"""How often a classifier is right."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import numpy as np

from keras_attn.classifiers.classifier import AT_ONCE, Classifier
from keras_attn.data.encoded import EncodedSplit, picture_of
from keras_attn.data.image_dataset import ImageDataset, listed
from keras_attn.data.splits import RandomAccessSplit, Split, StreamSplit

_LOG = logging.getLogger(__name__)
LEAST = 1e-7  # a probability below it counts as this in the loss, as Keras has it


def evaluate_classifier(
    classifier: Classifier, dataset: ImageDataset, *, done: Callable[[int], None] | None = None
) -> dict[str, float]:
    """Measures a classifier on the held-out images of a data set.

    Photographs are read by the classifier's own preprocessing, crop and all; so are other images,
    unless they have the network's size. Classes of the same names are matched by them, and others
    by their order.

    Args:
        classifier: A classifier, see `open_classifier`.
        dataset: Data set whose held-out images are taken.
        done: Function that is told of each image that is done.

    Returns:
        `loss`, the mean cross-entropy in nats, and `accuracy`.

    Raises:
        ValueError: If the classes are not as many.

    Example:
        >>> data = load_dataset("photos", image_size=32)
        >>> sorted(evaluate_classifier(open_classifier("photos.onnx"), data))
        ['accuracy', 'loss']
    """
    right, losses = 0, 0.0
    for probabilities, label in answers_of(classifier, dataset):
        if done is not None:
            done(1)
        right += int(probabilities.argmax() == label)
        losses -= float(np.log(max(probabilities[label], LEAST)))
    return {"loss": losses / dataset.test_size, "accuracy": right / dataset.test_size}


def answers_of(classifier: Classifier, dataset: ImageDataset) -> Iterator[tuple[np.ndarray, int]]:
    """The probabilities (K,) of each held-out image, and its class by the classifier's numbers."""
    order: list[int] | None = None
    for probabilities, label in zip(
        _answers(classifier, dataset.test), dataset.test.labels, strict=True
    ):
        if order is None:
            order = _order(classifier.class_names, dataset.class_names)
        yield probabilities, order[label]


def _answers(classifier: Classifier, split: Split) -> Iterator[np.ndarray]:
    is_fitted = split.image_shape[:2] == classifier.preprocessing.size
    ask = classifier.of_fitted if is_fitted else classifier.of_pixels
    if isinstance(split, EncodedSplit):
        fit, channels = classifier.preprocessing.fit_picture, classifier.channels
        for start in range(0, len(split), AT_ONCE):
            sources = map(split.source, range(start, min(start + AT_ONCE, len(split))))
            yield from classifier.of_fitted(
                np.stack([fit(picture_of(source, channels)[0]) for source in sources])
            )
    elif isinstance(split, RandomAccessSplit):
        for start in range(0, len(split), AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, len(split)))
            yield from ask(split.read(rows))
    elif isinstance(split, StreamSplit):
        for images, _ in split.dataset.batch(AT_ONCE).as_numpy_iterator():
            yield from ask(images)


def _order(ours: tuple[str, ...], theirs: tuple[str, ...]) -> list[int]:
    """The classifier's number of each class of the data."""
    if set(ours) == set(theirs):
        return [ours.index(name) for name in theirs]
    if len(ours) != len(theirs):
        raise ValueError(
            f"`dataset` must have the classifier's {len(ours)} classes ({listed(ours, 5)}). "
            f"Received: {len(theirs)} classes ({listed(theirs, 5)})"
        )
    _LOG.warning(
        "The classes of the data have other names than the classifier's (%s, not %s): "
        "they are matched by their order",
        theirs[0], ours[0],
    )  # fmt: skip
    return list(range(len(ours)))
