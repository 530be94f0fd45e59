"""Small networks that answer something else than classes: a caption, objects."""

from __future__ import annotations

import io

import keras
import numpy as np
from PIL import Image

from keras_attn.applications import Detector, ShowAttendTell
from keras_attn.layers import BoxDecoder

WORDS = ("", "[UNK]", "red", "blue", "disk")
SIZE = (12, 16)
PIXELS = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3))
PIXELS = (PIXELS * np.array([0.1, 0.5, 1]).reshape(3, 1, 1, 1)).astype("uint8")


def encoded(pixels, exif=None):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", **({} if exif is None else {"exif": exif}))
    return file.getvalue()


FILES = [encoded(pixels) for pixels in PIXELS]


def captioner(words=WORDS):
    keras.utils.set_random_seed(1)
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Rescaling(1 / 64)(image)
    backbone = keras.Model(image, keras.layers.Conv2D(6, 4, 4, activation="elu")(x))
    model = ShowAttendTell(
        backbone, 5, max_length=4, words=words, embedding_dim=3, units=5, attention_units=4
    )
    rng = np.random.default_rng(4)
    for weight in model.get_layer("decoder").trainable_weights:
        weight.assign(rng.normal(0, 2, weight.shape))
    model.get_layer("decoder").head.bias.assign([-2, 0, 0, 0, 0])
    return model


def detector():
    """Of anchors that are the image's quarters, whose class is told by their mean colour."""
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Rescaling(1 / 255, -0.5)(image)
    means = keras.layers.Reshape((4, 3))(keras.layers.AveragePooling2D((6, 8))(x))
    deltas = keras.layers.Dense(4, use_bias=False, name="deltas")(means)
    logits = keras.layers.Dense(2, name="logits")(means)
    decoder = BoxDecoder(0.5, 0.5, 7, name="boxes")
    model = Detector(image, decoder(deltas, logits), class_names=["disk", "square"])
    model.get_layer("deltas").set_weights([np.zeros((3, 4))])
    model.get_layer("logits").set_weights(
        [np.array([[20, 0], [0, 20], [0, 0]]), np.array([-5, -5])]
    )
    y, x = np.divmod(np.arange(4), 2)
    decoder.anchors.assign(np.stack([8 * x, 6 * y, 8 * x + 8, 6 * y + 6], -1))
    return model
