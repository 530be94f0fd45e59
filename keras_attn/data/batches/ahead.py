"""Batches that are made before they are asked for, and how long a training waits for them."""

from __future__ import annotations

import collections
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from keras_attn.data.batches.sequence import TrainingSequence
from keras_attn.typing import Tensor

AHEAD = 2  # batches that are made in advance, at a time; each takes memory of the device


class InputClock:
    """Knows how long a training waits for each of its batches.

    A pipeline of tf.data says when a batch was there. Whatever gives batches in Python says how
    long it has let the training wait.
    """

    def __init__(self) -> None:
        self._there: dict[int, float] = {}
        self._seconds = 0.0

    def note(self, step: np.ndarray) -> np.ndarray:
        """The batch of this number is there; of several replicas the last counts."""
        self._there[int(step)] = time.perf_counter()
        return step

    def add(self, seconds: float) -> None:
        """The training has waited."""
        self._seconds += seconds

    def waited(self, steps: range, asked: float) -> float:
        """How many seconds the training has waited.

        Args:
            steps: Numbers of the batches that it took, together.
            asked: When it asked for them, by `time.perf_counter`.
        """
        seconds, self._seconds = self._seconds, 0.0
        there = [self._there.pop(step) for step in steps if step in self._there]
        return seconds + max([0.0, *(moment - asked for moment in there)])


class Ahead(keras.utils.PyDataset):
    """The batches of a `TrainingSequence` as tensors on the device, a few of them in advance.

    Threads make them: one batch is decoded while another waits for its last photographs.

    Args:
        batches: Sequence whose batches they are.
        clock: Is told how long a batch is waited for.
    """

    def __init__(self, batches: TrainingSequence, clock: InputClock | None = None) -> None:
        super().__init__()
        self._batches = batches
        self._clock = clock
        self._made: collections.deque[tuple[int, Future[Any]]] = collections.deque()
        self._threads = ThreadPoolExecutor(AHEAD)

    def __len__(self) -> int:
        """How many batches there are in an epoch."""
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """A batch of the present epoch, see `TrainingSequence.on_device`.

        Args:
            index: Number of the batch, from 0 to `len(self) - 1`.
        """
        asked = time.perf_counter()
        step = self._batches.step_of(index)
        if self._made and self._made[0][0] != step:  # it begins anew
            self._forget()
        after = self._made[-1][0] + 1 if self._made else step
        for number in range(after, step + AHEAD + 1):
            self._made.append((number, self._threads.submit(self._batches.on_device, number)))
        _, batch = self._made.popleft()
        found: tuple[Tensor, Tensor] = batch.result()
        if self._clock is not None:
            self._clock.add(time.perf_counter() - asked)
        return found

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch; Keras calls it."""
        self._batches.on_epoch_end()

    def _forget(self) -> None:
        for _, batch in self._made:
            batch.cancel()
        self._made.clear()

    def __del__(self) -> None:
        if hasattr(self, "_threads"):
            self._threads.shutdown(wait=False, cancel_futures=True)
