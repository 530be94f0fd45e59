"""What all classifiers are asked, whatever they are made of."""

from __future__ import annotations

import abc
import os
from collections.abc import Iterable, Iterator

import numpy as np

from keras_attn.images import Preprocessing

AT_ONCE = 32  # images that are run together


class Classifier(abc.ABC):
    """A trained network, as a Keras model or as an export, with what belongs to it.

    All of them read files by `preprocessing` and give the same probabilities, but for what their
    runtimes round.

    Attributes:
        class_names: Name of each class, in the order of the outputs.
        preprocessing: What happens to an image before the network has it.
        channels: 3 (RGB) or 1 (grey).
    """

    def __init__(
        self, class_names: tuple[str, ...], preprocessing: Preprocessing, channels: int
    ) -> None:
        self.class_names = class_names
        self.preprocessing = preprocessing
        self.channels = channels

    @abc.abstractmethod
    def run(self, images: np.ndarray) -> np.ndarray:
        """Images as the network takes them, float32 `(B, H, W, C)` -> probabilities `(B, k)`."""

    def of_files(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[np.ndarray]:
        """The probabilities `(k,)` of one image file after another.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If a file is not an image.
        """
        for batch in _batches(paths):
            yield from self.of_fitted(
                np.stack([self.preprocessing.read(path, self.channels) for path in batch])
            )

    def of_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Pixel values of any size, uint8 `(B, h, w, C)` -> probabilities `(B, k)`."""
        return self.of_fitted(np.stack([self.preprocessing.fit(image) for image in pixels]))

    def of_fitted(self, pixels: np.ndarray) -> np.ndarray:
        """Pixel values as `preprocessing` reads them, uint8 `(B, H, W, C)` -> probabilities."""
        return self.run(self.preprocessing.normalise(pixels))


def _batches(paths: Iterable[str | os.PathLike[str]]) -> Iterator[list[str | os.PathLike[str]]]:
    batch: list[str | os.PathLike[str]] = []
    for path in paths:
        batch.append(path)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
