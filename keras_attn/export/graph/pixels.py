"""From an encoded or a raw image to what a network takes, in TensorFlow's graph."""

import keras
import tensorflow as tf

from keras_attn.export.graph.decoding import decode_image
from keras_attn.images import Preprocessing
from keras_attn.typing import Tensor


def decode(how: Preprocessing, encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Image files, string `(B,)` -> pixel values of its size, float32 `(B, H, W, C)`."""

    def one(image: tf.Tensor) -> tf.Tensor:
        return resize(how, decode_image(image, channels)[None])[0]

    shape = (*(how.size or (None, None)), channels)
    return tf.map_fn(one, encoded, fn_output_signature=tf.TensorSpec(shape, tf.float32))


def resize(how: Preprocessing, pixels: tf.Tensor) -> tf.Tensor:
    """Pixel values of any size `(B, h, w, C)` -> pixel values of its size, float32."""
    if how.size is None:
        return tf.cast(pixels, tf.float32)
    whole = least = tf.constant(how.least_whole)  # (H, W) before its centre is cut out
    if how.crop is not None:
        sides = tf.cast(tf.shape(pixels)[1:3], tf.float32)
        scale = tf.reduce_max(tf.cast(least, tf.float32) / sides)
        whole = tf.maximum(tf.cast(tf.math.floor(sides * scale + 1e-3), tf.int32), least)
    resized = tf.image.resize(pixels, whole, method=how.interpolation, antialias=True)
    top, left = tf.unstack((whole - how.size) // 2)
    height, width = how.size
    cut = resized[:, top : top + height, left : left + width]
    cut = tf.ensure_shape(cut, (None, height, width, pixels.shape[-1]))
    return tf.round(tf.clip_by_value(cut, 0.0, 255.0))


def normalise(how: Preprocessing, pixels: Tensor) -> tf.Tensor:
    """Pixel values -> what the network takes."""
    pixels = tf.cast(pixels, tf.float32)
    if how.mean is not None:
        pixels = pixels - tf.constant(how.mean)
    return pixels if how.std is None else pixels / tf.constant(how.std)


def check_preprocessing(preprocessing: Preprocessing | None, model: keras.Model) -> None:
    """Raises ValueError where the preprocessing doesn't give what the network takes."""
    if preprocessing is None:
        return
    shape = tuple(model.inputs[0].shape[1:])
    size = preprocessing.size or (None, None)
    if any(None not in (a, b) and a != b for a, b in zip(size, shape[:2], strict=True)):
        raise ValueError(
            "`preprocessing.size` must be that of the network's images. "
            f"Received: size={size}, images of shape {shape}"
        )
    for name in ("mean", "std"):
        values = getattr(preprocessing, name)
        if values is not None and len(values) not in (1, shape[-1]):
            raise ValueError(
                f"`preprocessing.{name}` must have a value for each of {shape[-1]} channels. "
                f"Received: {name}={values}"
            )
