"""A training that writes the loss of each batch, and may kill itself within an epoch.

    python killed_input.py KIND FOLDER OUT [EPOCH BATCH]

KIND is "stream", which only gives one image after another, or "files", decoded when they are asked
for. Prints the seconds until the first batch of this process was trained on.
"""

import os
import signal
import sys
import time
from pathlib import Path

import keras

from keras_attn.data import load_dataset, splits
from keras_attn.training import train

BATCH, EPOCHS = 4, 3
kind, folder, out, *kill = sys.argv[1:]
splits.CACHE_BYTES = 0


def build_model():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x, name="tiny")


class Watch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == first_epoch and batch == 0:
            print("first", time.perf_counter() - start, flush=True)
        with open(f"{out}.losses", "a") as file:
            file.write(f"{self.epoch} {batch} {float(logs['loss']).hex()}\n")
        if kill and (self.epoch, batch) == tuple(map(int, kill)):
            os.kill(os.getpid(), signal.SIGKILL)


def as_stream(data):
    import dataclasses

    import tensorflow as tf

    from keras_attn.data.batches.tensorflow_pipeline import evaluation_batches

    def stream(split):
        images = evaluation_batches(split, 8).unbatch()
        return splits.StreamSplit(images.map(lambda x, y: (tf.cast(x, tf.uint8), y)), len(split),
                                  split.digest())  # fmt: skip

    return dataclasses.replace(data, train=stream(data.train), test=stream(data.test), options={})


data = load_dataset(folder, image_size=16)
if kind == "stream":
    data = as_stream(data)
epochs_before = [int(path.stem[-5:]) for path in Path(out, "unfinished").glob("epoch-*.npz")]
first_epoch = max(epochs_before, default=0)
start = time.perf_counter()
# Two times each: an epoch is half a pass over the images, so that one begins within a pass.
train(build_model, data, out, epochs=EPOCHS, batch_size=BATCH, repeats=2, verbose=0,
      augment=("random_resized_crop", "flip", "mixup"), callbacks=[Watch()],
      jit_compile=keras.backend.backend() == "jax")  # fmt: skip
