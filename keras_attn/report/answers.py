"""What a classifier says of held-out images, and the measures of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_attn.classifiers.evaluation import answers_of
from keras_attn.classifiers.networks import NetworkClassifier
from keras_attn.data import ImageDataset


@dataclass(frozen=True)
class Answers:
    """A classifier's answers to labelled images.

    Attributes:
        probabilities: (N, K).
        labels: (N,), the right class of each image.
        class_names: The names of the K classes.

    Example:

    >>> answers = Answers(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]), ("cat", "dog"))
    >>> answers.accuracy, answers.confusion.tolist()
    (0.5, [[1, 0], [1, 0]])
    """

    probabilities: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    @cached_property
    def said(self) -> np.ndarray:
        """(N,), the most likely class of each image."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def confidence(self) -> np.ndarray:
        """(N,), its probability."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def is_right(self) -> np.ndarray:
        """(N,) of bool."""
        return np.asarray(self.said == self.labels)

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float(self.is_right.mean())

    @property
    def confusion(self) -> np.ndarray:
        """(K, K) of counts: a row for each right class, a column for each that was said."""
        counts = np.zeros((len(self.class_names),) * 2, "int64")
        np.add.at(counts, (self.labels, self.said), 1)
        return counts

    @property
    def accuracy_by_class(self) -> np.ndarray:
        """(K,), the share of a class's images that are found; NaN where it has none."""
        confusion = self.confusion
        counts = confusion.sum(axis=1)
        share = np.diag(confusion) / np.maximum(counts, 1)
        return np.where(counts > 0, share, np.nan)

    def reliability(self, bins: int = 15) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How often answers of one confidence are right.

        Args:
            bins: Number of bins of equal width from 0 to 1.

        Returns:
            Mean confidence, share of right answers, and count of each bin; NaN where it is empty.
        """
        places = np.clip(np.ceil(self.confidence * bins).astype(int) - 1, 0, bins - 1)
        count = np.bincount(places, minlength=bins)
        sums = (
            np.bincount(places, values, minlength=bins)
            for values in (self.confidence, self.is_right)
        )
        confidence, right = (np.where(count, each / np.maximum(count, 1), np.nan) for each in sums)
        return confidence, right, count

    def calibration_error(self, bins: int = 15) -> float:
        """The expected calibration error (Guo et al., ICML 2017, equation 3)."""
        confidence, right, count = self.reliability(bins)
        there = count > 0
        gap = np.abs(confidence[there] - right[there])
        return float((gap * count[there]).sum() / count.sum())

    def confident_errors(self, count: int) -> np.ndarray:
        """Numbers of the images that were answered wrong, the most confident first."""
        wrong = np.flatnonzero(~self.is_right)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")][:count]

    def unsure_hits(self, count: int) -> np.ndarray:
        """Numbers of the images that were answered right, the least confident first."""
        right = np.flatnonzero(self.is_right)
        return right[np.argsort(self.confidence[right], kind="stable")][:count]


def measure(
    classifier: NetworkClassifier, dataset: ImageDataset, done: Callable[[int], None] | None = None
) -> Answers:
    """A network's answers to a data set's held-out images.

    Args:
        classifier: A network, see `keras_attn.classifiers.open_classifier`.
        dataset: The data set.
        done: Function that is told of each image that is done.

    Raises:
        ValueError: If the classes don't fit.
    """
    probabilities, labels = [], []
    for answer, label in answers_of(classifier, dataset):
        probabilities.append(answer)
        labels.append(label)
        if done is not None:
            done(1)
    return Answers(np.stack(probabilities), np.array(labels), tuple(classifier.class_names))
