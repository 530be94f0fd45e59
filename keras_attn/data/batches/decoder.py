"""Photographs, read and decoded by Pillow in worker processes: for JAX and PyTorch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from keras_attn.data.batches.boxes import NUMBERS, draw_box
from keras_attn.data.batches.workers import start_workers, usable_cores
from keras_attn.data.encoded import EncodedSplit, Source, picture_of
from keras_attn.images import Preprocessing

AT_ONCE = 8  # photographs that a worker is given together
Decoded = tuple[np.ndarray, list[int | None]]


class Decoder:
    """Gives the images and labels of any rows of a split.

    Worker processes are started at the first reading, and end with the object.

    Args:
        split: Encoded images.
        parts: Whether "random_resized_crop" draws the part that is taken.
        workers: Number of processes. `None` means one for each core that may be used; 0 decodes
            in this process.
    """

    def __init__(self, split: EncodedSplit, *, parts: bool, workers: int | None = None) -> None:
        self.parts = parts
        self._split = split
        self._workers = usable_cores() if workers is None else workers
        self._executor: Executor | None = None
        self._lock = threading.Lock()

    def read(
        self, rows: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels.

        Args:
            rows: Integers `(n,)`.
            rng: Generator that the parts are drawn from.

        Returns:
            uint8 `(n, H, W, C)` and int64 `(n,)`.

        Raises:
            ValueError: If one is no image; the message names it.
        """
        numbers = rng.random((len(rows), NUMBERS), "float32") if self.parts and rng else None
        sources = [self._split.source(int(row)) for row in rows]
        how, channels = self._split.preprocessing, self._split.channels
        starts = range(0, len(rows), AT_ONCE)
        given = [sources[start : start + AT_ONCE] for start in starts]
        drawn = [None if numbers is None else numbers[start : start + AT_ONCE] for start in starts]
        count = len(given)
        run = self._executor_now().map if self._workers else map
        found = list(run(_decode, given, drawn, [how] * count, [channels] * count))
        labels = [label for _, part in found for label in part]
        known = self._split.labels[rows] if self._split.knows_labels else labels
        return np.concatenate([images for images, _ in found]), np.array(known, "int64")

    def _executor_now(self) -> Executor:
        with self._lock:  # Keras asks for several batches at a time
            if self._executor is None:
                self._executor = start_workers(self._workers)
            return self._executor

    def __del__(self) -> None:
        if getattr(self, "_executor", None) is not None:
            self._executor.shutdown(wait=False)  # type: ignore[union-attr]


def _decode(
    sources: Sequence[Source], drawn: np.ndarray | None, how: Preprocessing, channels: int
) -> Decoded:
    images, labels = [], []
    for i, source in enumerate(sources):
        picture, label = picture_of(source, channels)
        labels.append(label)
        if drawn is None:
            images.append(how.fit_picture(picture))
        else:
            images.append(how.fit_part(picture, draw_box(drawn[i], picture.height, picture.width)))
    return np.stack(images), labels
