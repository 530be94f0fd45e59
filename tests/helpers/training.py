"""Trainings of a second: a data set that one can see through, and a network for it."""

import keras
import numpy as np

from keras_attn.training import ImageDataset
from keras_attn.training.run_folder import checkpoint

SHAPE = (5, 7, 3)
CLASSES = ("low", "high", "rare")
QUICK = {"epochs": 2, "batch_size": 8, "augment": (), "jit_compile": False, "verbose": 0}


def make_dataset(train_size=26, test_size=11, name="bright"):
    """Dark images of class 0, bright ones of class 1; one image of class 2 to train on."""

    def split(size, seed):
        rng = np.random.default_rng(seed)
        labels = np.arange(size) % 2
        images = rng.integers(0, 100, (size, *SHAPE)) + 150 * labels[:, None, None, None]
        return images.astype("uint8"), labels

    train_images, train_labels = split(train_size, 1)
    train_labels[-1] = 2
    train = (train_images, train_labels)
    return ImageDataset.from_arrays(train, split(test_size, 2), class_names=CLASSES, name=name)


def build_model(classes=3, activation="softmax", shape=SHAPE, bias="zeros"):
    inputs = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(classes, activation=activation, bias_initializer=bias)(x)
    return keras.Model(inputs, x, name="tiny")


def sure_model(scale=3e3):
    """Wrong ones get probabilities that float32 has no number for."""
    inputs = keras.Input(SHAPE)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Rescaling(scale)(x)
    x = keras.layers.Dense(3, activation="softmax", dtype="float32")(x)
    return keras.Model(inputs, x, name="sure")


def weights_of(result):
    return np.concatenate([weight.ravel() for weight in result.model.get_weights()])


class Stop(keras.callbacks.Callback):
    """A failure after an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def make_stateful_network():
    inputs = keras.Input((5, 5, 2))
    x = keras.layers.Conv2D(3, 3)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.5)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def make_state(epoch=1, network=None, optimizer=None):
    network = network or make_stateful_network()
    if optimizer is None:
        optimizer = keras.optimizers.AdamW()
        optimizer.build(network.trainable_variables)
    history = {"loss": [1.0] * epoch, "val_loss": [None] * epoch}
    return checkpoint.take_state(
        network, optimizer, epoch=epoch, history=history,
        arguments={"epochs": 7, "augment": ["crop"]}, seconds=2.5,
    )  # fmt: skip
