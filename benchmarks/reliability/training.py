"""Trainings that are killed, that find the disk full, and that meet in one folder.

What ends must have the weights, to the bit, of a training that nothing happened to.
"""

from __future__ import annotations

import contextlib
import random
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np

from benchmarks.reliability.training_process import (
    EPOCHS,
    THIS,
    Training,
    epochs_done,
    newest_epoch,
    two_workers,
    wait_until,
)
from benchmarks.reliability.trial import Trial, progress
from keras_attn.training import ImageDataset, load_run, train
from keras_attn.training.run_folder import checkpoint

PART = "training"
FULL = 20_000  # bytes that a file may have: less than a checkpoint's


def trials(folder: Path, *, quick: bool, long: bool = False) -> Iterator[Trial]:
    """Tries each thing, and says what came of it.

    Args:
        folder: Where everything is written.
        quick: Seconds rather than minutes: one of each, in this process, on a tiny network.
        long: More kills at random moments.
    """
    if quick:
        reference = folder / "undisturbed"
        _tiny(reference)
        yield _trial("killed while a checkpoint is written", _stopped_writing, folder, reference, 1)
        yield _trial("full disk", _full_here, folder, reference, 1)
        yield _trial("two owners of one folder", _two_threads, folder, reference, 1)
        return
    reference = folder / "undisturbed"
    undisturbed = Training(reference, "--deterministic")
    undisturbed.finish()
    yield _trial("killed at random moments", _killed, folder, reference, 6 if long else 2)
    yield _trial("killed while a checkpoint is written", _killed_writing, folder, reference, 1)
    yield _trial("full disk", _full, folder, reference, 1)
    yield _trial("two owners of one folder", _two, folder, reference, 1)
    reference = folder / "undisturbed-workers"
    for worker in two_workers(reference, "--deterministic"):
        worker.finish()
    yield _trial("two workers, one of them killed", _worker_killed, folder, reference, 2)
    yield _trial(
        "two workers, killed while a checkpoint is written",
        _worker_killed_writing,
        folder,
        reference,
        1,
    )


def _trial(
    name: str, attempt: Callable[[Path, Path, int], str], folder: Path, reference: Path, times: int
) -> Trial:
    """`attempt` gives "" where all was right, or "lost: what", or "wrong: what"."""
    start = time.monotonic()
    found = []
    for i in range(times):
        progress(PART, name, i, times)
        out = folder / f"{attempt.__name__.strip('_')}{i}"
        try:
            found.append(attempt(out, reference, i))
        except (subprocess.TimeoutExpired, TimeoutError) as error:
            found.append(f"lost: {error}")
        except (ValueError, OSError) as error:  # there is no run, or it can't be read
            found.append(f"lost: {error}")
    return Trial(
        part=PART,
        name=name,
        tried=times,
        survived=found.count(""),
        lost=sum(each.startswith("lost") for each in found),
        wrong=sum(each.startswith("wrong") for each in found),
        seconds=round(time.monotonic() - start, 1),
        note=next(filter(None, found), ""),
    )


def _killed(out: Path, reference: Path, seed: int) -> str:
    """Killed while it trains, again while it starts or has just gone on, then let through."""
    dice = random.Random(seed)
    training = Training(out, "--deterministic")
    wait_until(lambda: epochs_done(out) or training.returncode is not None)
    time.sleep(dice.uniform(0, 2))
    training.kill()
    training.finish()
    before = newest_epoch(out)
    again = Training(out, "--deterministic")
    if seed % 2:
        time.sleep(dice.uniform(0, 15))
    else:
        wait_until(lambda: newest_epoch(out) > before or again.returncode is not None)
    again.kill()
    again.finish()
    return _goes_on(out, reference)


def _killed_writing(out: Path, reference: Path, seed: int) -> str:
    training = Training(out, "--deterministic", module=(THIS, "die-writing", "3"))
    text = training.finish()
    if training.returncode != -9 or epochs_done(out) != 2:
        return f"wrong: {training.returncode}, {epochs_done(out)} checkpoints: {_end_of(text)}"
    return _goes_on(out, reference)


def _full(out: Path, reference: Path, seed: int) -> str:
    limited = (THIS, "files-of-at-most", str(FULL))
    training = Training(out, "--deterministic", module=limited)
    text = training.finish()
    if training.returncode != 1 or "could not be written" not in text or "Traceback" in text:
        return f"wrong: {training.returncode}: {_end_of(text)}"
    return _goes_on(out, reference)


def _two(out: Path, reference: Path, seed: int) -> str:
    """Two at once: one is refused and says by whom, the other one's run is whole."""
    both = [Training(out, "--deterministic") for _ in range(2)]
    texts = [training.finish() for training in both]
    ends = sorted(training.process.returncode for training in both)
    if ends != [0, 1]:
        # Where one had ended before the other came, there was nothing left to train.
        if ends == [0, 0] and any("is finished already" in text for text in texts):
            return _compared(out, reference)
        return f"wrong: they ended with {ends}: {_end_of(texts[0])}"
    winner, loser = sorted(zip(both, texts, strict=True), key=lambda pair: pair[0].returncode or 0)
    if f"process {winner[0].process.pid} trains there" not in loser[1]:
        return f"wrong: {_end_of(loser[1])}"
    return _compared(out, reference)


def _worker_killed(out: Path, reference: Path, victim: int) -> str:
    workers = two_workers(out, "--deterministic")
    wait_until(lambda: epochs_done(out) or any(w.returncode is not None for w in workers))
    time.sleep(random.Random(victim).uniform(0, 2))
    workers[victim].kill()
    workers[victim].finish()
    return _other_stops(workers[1 - victim]) or _workers_go_on(out, reference)


def _worker_killed_writing(out: Path, reference: Path, seed: int) -> str:
    workers = two_workers(out, "--deterministic", first=(THIS, "die-writing", "3"))
    workers[0].finish()
    return _other_stops(workers[1]) or _workers_go_on(out, reference)


def _other_stops(worker: Training) -> str:
    text = worker.finish(120)
    right = worker.returncode == 1 and "Start all workers again with the same command" in text
    return "" if right else f"wrong: the other ended with {worker.returncode}: {_end_of(text)}"


def _workers_go_on(out: Path, reference: Path) -> str:
    workers = two_workers(out, "--deterministic")
    texts = [worker.finish() for worker in workers]
    if any(worker.returncode for worker in workers):
        return f"lost: they ended with {[w.returncode for w in workers]}: {_end_of(texts[0])}"
    return _compared(out, reference)


def _goes_on(out: Path, reference: Path) -> str:
    training = Training(out, "--deterministic")
    text = training.finish()
    if training.returncode:
        return f"lost: it ended with {training.returncode}: {_end_of(text)}"
    return _compared(out, reference)


def _compared(out: Path, reference: Path, epochs: int = EPOCHS) -> str:
    """Whether a run is the other one, to the bit, and nothing else is left."""
    (ours, record), (theirs, of_reference) = load_run(out), load_run(reference)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        if not np.array_equal(a, b):
            return f"wrong: weights differ by {np.abs(a - b).max():.1e}"
    if record["metrics"] != of_reference["metrics"]:
        return f"wrong: {record['metrics']}, undisturbed {of_reference['metrics']}"
    if len((out / "history.csv").read_text().splitlines()) != epochs + 1:
        return "lost: epochs of history.csv"
    names, whole = (sorted(path.name for path in each.iterdir()) for each in (out, reference))
    return "" if names == whole else f"lost or left: {names}"


def _end_of(text: str) -> str:
    return " ".join(text.split())[-300:]


TINY_EPOCHS = 3


def _tiny(out: Path, *callbacks: keras.callbacks.Callback) -> None:
    """A training of seconds."""
    rng = np.random.default_rng(0)
    labels = np.arange(16) % 2
    images = rng.integers(0, 256, (16, 5, 7, 1)).astype("uint8")
    data = ImageDataset.from_arrays((images, labels), (images, labels))

    def build() -> keras.Model:
        image = keras.Input((5, 7, 1))
        x = keras.layers.BatchNormalization()(image)
        x = keras.layers.Dropout(0.1)(keras.layers.Flatten()(x))
        x = keras.layers.Dense(64)(x)
        return keras.Model(image, keras.layers.Dense(2, "softmax")(x), name="tiny")

    train(
        build, data, out, epochs=TINY_EPOCHS, batch_size=8, augment=(), jit_compile=False,
        verbose=0, callbacks=callbacks,
    )  # fmt: skip


def _stopped_writing(out: Path, reference: Path, seed: int) -> str:
    """As killed in the middle: what is half written stays."""
    savez = checkpoint.np.savez

    def half(file, **arrays) -> None:
        if epochs_done(out) < 1:
            savez(file, **arrays)
            return
        file.write(b"PK half")
        raise KeyboardInterrupt

    checkpoint.np.savez = half
    try:
        _tiny(out)
    except KeyboardInterrupt:
        pass
    else:
        return "wrong: it was not stopped"
    finally:
        checkpoint.np.savez = savez
    if not (out / checkpoint.FOLDER / ".writing.npz").exists():
        return "wrong: nothing is half written"
    _tiny(out)
    return _compared(out, reference, TINY_EPOCHS)


class _FullDisk(keras.callbacks.Callback):
    """From the second epoch on."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        super().__init__()
        self.stack = stack

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Fills it."""
        if epoch == 1:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            self.stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
            resource.setrlimit(resource.RLIMIT_FSIZE, (FULL // 10, hard))


def _full_here(out: Path, reference: Path, seed: int) -> str:
    try:
        with contextlib.ExitStack() as stack:
            _tiny(out, _FullDisk(stack))
    except OSError as error:
        if "The checkpoint of epoch 2 could not be written" not in str(error):
            return f"wrong: {error}"
    else:
        return "wrong: no error on a full disk"
    _tiny(out)
    return _compared(out, reference, TINY_EPOCHS)


def _two_threads(out: Path, reference: Path, seed: int) -> str:
    refused: list[str] = []

    def second() -> None:
        try:
            _tiny(out)
        except ValueError as error:
            refused.append(str(error))

    class Second(keras.callbacks.Callback):
        def on_train_begin(self, logs: dict | None = None) -> None:
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()

    _tiny(out, Second())
    if not refused or "no other training runs" not in refused[0]:
        return f"wrong: the second was not refused: {refused}"
    return _compared(out, reference, TINY_EPOCHS)
