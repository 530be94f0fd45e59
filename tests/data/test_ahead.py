"""Ahead and InputClock: the same batches, made before they are asked for, and the waiting."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_attn.data.batches.ahead import AHEAD, Ahead, InputClock
from keras_attn.data.batches.sequence import TrainingSequence
from keras_attn.data.image_dataset import ImageDataset

IMAGES = np.random.default_rng(2).integers(0, 256, (13, 5, 7, 3), "uint8")
DATA = ImageDataset.from_arrays((IMAGES, np.arange(13) % 3), (IMAGES, np.arange(13) % 3))


def make():
    return TrainingSequence(DATA, 4, augment=("crop", "mixup"), steps_per_epoch=5, seed=3)


def test_the_same_batches_in_all_epochs_and_begun_anew():
    plain, ahead = make(), Ahead(make())
    assert len(ahead) == 5
    for _ in range(2):
        for order in ([0, 1], range(5)):  # Keras looks at the first before it begins
            for index in order:
                for ours, theirs in zip(ahead[index], plain[index], strict=True):
                    np.testing.assert_array_equal(ours, theirs)
        plain.on_epoch_end()
        ahead.on_epoch_end()
    with pytest.raises(IndexError, match="from 0 to 4. Received: index=5"):
        ahead[5]


def test_many_threads_draw_what_one_draws():
    """PyTorch's beta distribution draws from a generator that all threads share."""
    batches, steps = make(), range(100)
    one_by_one = [batches.on_device(step) for step in steps]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(batches.on_device, steps))
    for ours, theirs in zip(together, one_by_one, strict=True):
        for part, expected in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(part, expected)


def test_no_more_than_a_few_are_made_before():
    batches, made, all_made = make(), [], threading.Event()
    make_one = batches.on_device

    def noted(step):
        made.append(step)
        if len(made) == 1 + AHEAD:
            all_made.set()
        return make_one(step)

    batches.on_device = noted
    ahead = Ahead(batches)
    ahead[0]
    assert all_made.wait(10)
    time.sleep(0.05)
    assert sorted(made) == list(range(1 + AHEAD))


def test_a_batch_that_can_t_be_made():
    batches = make()

    def broken(step):
        raise ValueError(f"no image in batch {step}")

    batches.on_device = broken
    with pytest.raises(ValueError, match="no image in batch 0"):
        Ahead(batches)[0]


def test_waiting_by_hand(monkeypatch):
    now = [10.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = InputClock()
    for step, there in enumerate([10.0, 12.0, 13.5, 13.0]):
        now[0] = there
        clock.note(np.int64(step))
    assert clock.waited(range(1), asked=11.0) == 0  # it was there
    assert clock.waited(range(1, 2), asked=11.5) == 0.5
    assert clock.waited(range(2, 4), asked=13.0) == 0.5  # two at once: until both are there
    clock.add(0.25)
    clock.add(0.5)
    assert clock.waited(range(4, 5), asked=20.0) == 0.75
    assert clock.waited(range(5, 6), asked=20.0) == 0
