"""What watches a training: its state after each epoch, and the first loss that is no number."""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_attn.data.batches.ahead import InputClock
from keras_attn.training.run_folder import checkpoint
from keras_attn.training.run_folder.files import HISTORY_FILE, written
from keras_attn.training.run_folder.history import write_history
from keras_attn.training.run_folder.unfinished import describe_unfinished

_LOG = logging.getLogger(__name__)
SOME_WAITING = 0.05  # of the time, below which the device is the limit


class Progress(keras.callbacks.Callback):
    """Keeps the history, and writes the training's whole state after each epoch.

    Args:
        out: Folder of the run, or `None` in a process that doesn't write.
        network: Network that is trained, whose weights a `DistributedModel` may share.
        identity: Options of the training, and what tells its network and data from others.
        state: State that it goes on from.
        keep_best: Whether to keep the network of the best epoch, too.
        patience: Number of evaluations without a higher accuracy after which the training ends.
        describe: Function of this object, which gives the run's record as far as it goes.
    """

    def __init__(
        self,
        out: Path | None,
        network: keras.Model,
        identity: dict[str, Any],
        state: checkpoint.State | None,
        *,
        keep_best: bool = False,
        patience: int | None = None,
        describe: Callable[["Progress"], dict[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.out = out
        self.network = network
        self.identity = identity
        self.epoch = state.epoch if state else 0
        self.history: dict[str, list[float | None]] = (
            {name: list(values) for name, values in state.history.items()} if state else {}
        )
        self.seconds_before = state.seconds if state else 0.0
        self.start = time.perf_counter()
        self.keep_best = keep_best
        self.patience = patience
        self.describe = describe

    def seconds(self) -> float:
        """How long the training has taken, with what was before it was stopped."""
        return self.seconds_before + time.perf_counter() - self.start

    def best(self) -> dict[str, float | int]:
        """The best epoch, counted from 1, and its accuracy on the held-out images."""
        known = enumerate(self.history.get("val_accuracy", []), start=1)
        accuracy, epoch = max((value, -i) for i, value in known if value is not None)
        return {"epoch": -epoch, "accuracy": accuracy}

    def is_over(self) -> bool:
        """Whether patience has run out, which the history alone decides: also after a stop."""
        known = [value for value in self.history.get("val_accuracy", []) if value is not None]
        if self.patience is None or not known:
            return False
        return len(known) - 1 - known.index(max(known)) >= self.patience

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Takes up the epoch's logs and writes the state."""
        logs = logs or {}
        for name in dict.fromkeys([*self.history, *logs]):
            values = self.history.setdefault(name, [None] * epoch)
            values.append(float(logs[name]) if name in logs else None)
        self.epoch = epoch + 1
        state = checkpoint.take_state(
            self.network,
            self.model.optimizer,
            epoch=self.epoch,
            history=self.history,
            arguments=self.identity,
            seconds=self.seconds(),
        )
        if self.out is not None:
            # The best first: a training that is killed between the two runs the epoch again.
            if self.keep_best and "val_accuracy" in logs and self.best()["epoch"] == self.epoch:
                with written(checkpoint.best_file(self.out)) as beside:
                    self.network.save(beside)
            checkpoint.save_state(self.out, state)
            if self.describe is not None:
                describe_unfinished(self.out, self.network, self.describe(self))
                self.describe = None  # what it says stays
            write_history(self.out / checkpoint.FOLDER / HISTORY_FILE, self.history)
        if self.is_over():
            self.model.stop_training = True


class InputProfile(keras.callbacks.Callback):
    """Says after each epoch whether the training waits for its input.

    A batch is asked for when the step before it has ended and all callbacks have looked at it,
    which waits for the device. It is there when the host has it; what it then takes to the device
    counts as the device's. What is measured is the time from the one to the other, where the batch
    was not there before, as a share of an epoch's time without its evaluation. The first batch of a
    training doesn't count: the step is compiled then.

    Args:
        clock: Clock on which the batches are noted.
        batch_size: Number of images in a batch.
        steps: Number of batches in an epoch.
    """

    def __init__(self, clock: InputClock, batch_size: int, steps: int) -> None:
        super().__init__()
        self._clock, self._batch_size, self._steps = clock, batch_size, steps
        self._is_compiled = False

    def first(self) -> keras.callbacks.Callback:
        """What gives the number to the callbacks behind it."""

        def add(epoch: int, logs: dict[str, Any] | None = None) -> None:
            if logs is not None:
                logs["input_wait"] = self.share()

        return keras.callbacks.LambdaCallback(on_epoch_end=add)

    def share(self) -> float:
        """The share of the epoch that was spent waiting."""
        return self._waited / max(self._asked - self._start, 1e-9)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._clock.waited(range(0), 0.0)  # what was before the epoch does not count
        self._epoch, self._done, self._counted, self._waited = epoch, 0, 0, 0.0
        self._start = self._asked = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds how long the batches of this step were waited for."""
        before = self._epoch * self._steps
        steps = range(before + self._done, before + batch + 1)
        waited = self._clock.waited(steps, self._asked)
        self._done = batch + 1
        self._asked = time.perf_counter()
        if self._is_compiled:
            self._waited += waited
            self._counted += len(steps)
        else:
            self._is_compiled, self._start = True, self._asked

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Says it."""
        seconds, images = self._asked - self._start, self._counted * self._batch_size
        share = self.share()
        _LOG.info(
            "Epoch %d: %.0f %% of %.1f s waiting for batches; images a second: %.0f came, the "
            "device alone takes %.0f. The %s is the limit.",
            epoch + 1,
            100 * share,
            seconds,
            images / max(seconds, 1e-9),
            images / max(seconds - self._waited, 1e-9),
            "input" if share > SOME_WAITING else "device",
        )


class StopAtNaN(keras.callbacks.Callback):
    """Ends the training with an error at the first loss that is not a number."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the loss."""
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss became {loss} in epoch {self.epoch + 1}, batch {batch + 1}. What was "
                "written before stays as it was. A lower `learning_rate` or a longer `warmup` may "
                "help."
            )
