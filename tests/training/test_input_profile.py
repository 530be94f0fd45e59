"""--profile: which of the two waits, with an input and with a step that are made slow."""

import logging
import re
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.training import QUICK, SHAPE, build_model, make_dataset
from keras_attn.data.batches.ahead import InputClock
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.splits import StreamSplit
from keras_attn.training import TrainingConfig, train
from keras_attn.training.callbacks import InputProfile

LINE = re.compile(
    r"Epoch (\d): (\d+) % of ([\d.]+) s waiting for batches; images a second: (\d+) came, the "
    r"device alone takes (\d+). The (input|device) is the limit."
)


@keras.saving.register_keras_serializable("tests")
class Slow(keras.layers.Layer):
    """Takes a hundredth of a second for a batch."""

    def call(self, inputs):
        def wait(x):
            time.sleep(0.01)
            return x

        return tf.ensure_shape(tf.numpy_function(wait, [inputs], tf.float32), inputs.shape)

    def compute_output_shape(self, input_shape):
        return input_shape


def slow_model():
    inputs = keras.Input(SHAPE)
    x = keras.layers.GlobalAveragePooling2D()(Slow()(inputs))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


def slow_input(dataset):
    """The same images from a stream that takes three milliseconds for each."""

    def wait(image):
        time.sleep(0.003)
        return image

    def slowly(image, label):
        return tf.ensure_shape(tf.numpy_function(wait, [image], tf.uint8), SHAPE), label

    arrays = tf.data.Dataset.from_tensor_slices((dataset.train.images, dataset.train.labels))
    train_split = StreamSplit(arrays.map(slowly), dataset.train_size)
    return ImageDataset("slow", dataset.class_names, SHAPE, train_split, dataset.test)


def lines_of(caplog):
    found = [LINE.fullmatch(record.getMessage()) for record in caplog.records]
    return [match.groups() for match in found if match]


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["input", "device"])
def test_it_says_which_of_the_two_waits(limit, tmp_path, caplog):
    caplog.set_level(logging.INFO, "keras_attn")
    dataset = make_dataset(train_size=256)
    data, build = (slow_input(dataset), build_model) if limit == "input" else (dataset, slow_model)
    result = train(build, data, tmp_path, **{**QUICK, "epochs": 3}, profile=True)
    shares = result.history["input_wait"]
    said = lines_of(caplog)
    assert [line[0] for line in said] == ["1", "2", "3"]
    number, share, seconds, came, takes, which = said[-1]
    assert which == limit and float(share) == pytest.approx(100 * shares[-1], abs=0.6)
    if limit == "input":
        # 256 images of 3 ms, but for those that were made while the epoch before was evaluated.
        assert shares[-1] > 0.5 and float(seconds) > 0.5
        assert int(came) < 500 and int(takes) > 2 * int(came)
    else:
        assert shares[-1] < 0.05 and int(takes) < 800  # 8 images in 10 ms
    text = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert "input_wait" in text


def test_an_epoch_by_hand(monkeypatch, caplog):
    """Two batches of 4: the first in 2 s, one of which it waited; the second in 3 s, none."""
    caplog.set_level(logging.INFO, "keras_attn")
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = InputClock()
    profile = InputProfile(clock, batch_size=4, steps=3)

    def step(batch, there, end):
        now[0] = there
        clock.note(np.int64(6 + batch))
        now[0] = end
        profile.on_train_batch_end(batch)

    profile.on_epoch_begin(2)
    step(0, 104.0, 110.0)  # compiled: it doesn't count
    step(1, 111.0, 112.0)
    step(2, 111.5, 115.0)
    logs = {}
    profile.first().on_epoch_end(2, logs)
    assert logs == {"input_wait": pytest.approx(1 / 5)}
    now[0] = 130.0  # the evaluation doesn't count
    profile.on_epoch_end(2, logs)
    assert lines_of(caplog) == [("3", "20", "5.0", "2", "2", "input")]


def test_several_batches_in_a_call():
    with pytest.raises(ValueError, match="`steps_per_execution` must be 1 with `profile`"):
        TrainingConfig(epochs=1, profile=True, steps_per_execution=2)
