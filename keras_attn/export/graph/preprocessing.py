"""From an encoded or a raw image to what a network takes, in TensorFlow's graph."""

import dataclasses
import math
from typing import Literal

import keras
import tensorflow as tf

from keras_attn.applications.common.preprocessing import Normalisation
from keras_attn.applications.imagenet import class_names_of_imagenet
from keras_attn.export.graph.decoding import decode_image
from keras_attn.typing import Tensor
from keras_attn.weights import get_metadata


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What stands between pixels and a network: the size, then the range of values.

    Resizing is antialiased and rounds to whole pixel values, as image libraries do.

    Attributes:
        size: `(H, W)` of the network's images. `None` leaves them as they are.
        crop: The share of the shorter side that is kept: the image is resized so that `size / crop`
            just fits into it, and its centre is cut out, as timm and torchvision evaluate. `None`
            resizes the whole image, whatever its proportions, as `keras_attn.training` reads files.
        interpolation: `"bilinear"` or `"bicubic"`.
        mean: Value that is subtracted from each channel, in pixel values 0..255. `None` for none.
        std: Value that each channel is then divided by, in pixel values. `None` for none.

    Example:
        >>> as_timm = Preprocessing((224, 224), crop=0.875, interpolation="bicubic",
        ...                         mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    """

    size: tuple[int, int] | None = None
    crop: float | None = None
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.size is not None and (
            len(self.size) != 2 or not all(isinstance(side, int) and side > 0 for side in self.size)
        ):
            raise ValueError(
                f"`size` must be (H, W), positive integers. Received: size={self.size}"
            )
        if self.crop is not None and not 0 < self.crop <= 1:
            raise ValueError(f"`crop` must be above 0 and at most 1. Received: crop={self.crop}")
        if self.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(
                "`interpolation` must be 'bilinear' or 'bicubic'. "
                f"Received: interpolation={self.interpolation!r}"
            )

    def decode(self, encoded: tf.Tensor, channels: int) -> tf.Tensor:
        """Image files, string `(B,)` -> pixel values of `size`, float32 `(B, H, W, C)`."""

        def one(image: tf.Tensor) -> tf.Tensor:
            return self.resize(decode_image(image, channels)[None])[0]

        shape = (*(self.size or (None, None)), channels)
        return tf.map_fn(one, encoded, fn_output_signature=tf.TensorSpec(shape, tf.float32))

    def resize(self, pixels: tf.Tensor) -> tf.Tensor:
        """Pixel values of any size `(B, h, w, C)` -> pixel values of `size`, float32."""
        if self.size is None:
            return tf.cast(pixels, tf.float32)
        whole = tf.constant(self.size)  # (H, W) of the image before its centre is cut out
        if self.crop is not None:
            sides = tf.cast(tf.shape(pixels)[1:3], tf.float32)
            least = [math.floor(side / self.crop) for side in self.size]
            scale = tf.reduce_max(tf.cast(least, tf.float32) / sides)
            whole = tf.maximum(tf.cast(tf.math.floor(sides * scale + 1e-3), tf.int32), least)
        resized = tf.image.resize(pixels, whole, method=self.interpolation, antialias=True)
        top, left = tf.unstack((whole - self.size) // 2)
        height, width = self.size
        cut = resized[:, top : top + height, left : left + width]
        cut = tf.ensure_shape(cut, (None, height, width, pixels.shape[-1]))
        return tf.round(tf.clip_by_value(cut, 0.0, 255.0))

    def normalise(self, pixels: Tensor) -> tf.Tensor:
        """Pixel values -> what the network takes."""
        pixels = tf.cast(pixels, tf.float32)
        if self.mean is not None:
            pixels = pixels - tf.constant(self.mean)
        return pixels if self.std is None else pixels / tf.constant(self.std)


def find_preprocessing(model: keras.Model) -> Preprocessing | None:
    """What a network is given, as far as it can be known.

    A network that begins with `Rescaling` or `Normalization`, as `include_preprocessing=True` makes
    it, takes pixel values. Another takes what its weights ask for, if they say so; and so do crop
    and interpolation come from there. Without it, the whole image is resized.

    Args:
        model: A network that `check_image_model` accepts.

    Returns:
        The preprocessing, or `None` where nothing is known.
    """
    metadata = get_metadata(model)
    takes_pixels = _begins_with_pixels(model)
    if metadata is None and not takes_pixels:
        return None
    sides = tuple(model.inputs[0].shape[1:3])
    size = None if None in sides else sides
    if metadata is None:
        return Preprocessing(size)
    found = Preprocessing(
        size or (metadata.size, metadata.size),
        crop=metadata.crop,
        interpolation="bicubic" if metadata.interpolation == "bicubic" else "bilinear",
    )
    if takes_pixels:
        return found
    if model.inputs[0].shape[-1] != len(metadata.mean):
        return None  # of other channels nothing is known
    mean, std = Normalisation.of(metadata).in_pixels
    return dataclasses.replace(found, mean=tuple(mean), std=tuple(std))


def names_of_weights(model: keras.Model) -> list[str] | None:
    """The names of a network's classes, if its weights have them and its head is theirs."""
    metadata = get_metadata(model)
    if metadata is None or metadata.labels is None:
        return None
    names = list(class_names_of_imagenet() if metadata.labels == "imagenet" else metadata.labels)
    return names if len(names) == model.outputs[0].shape[-1] else None


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


def _begins_with_pixels(model: keras.Model) -> bool:
    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    first = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)][0]
    if isinstance(first, keras.Model):
        return _begins_with_pixels(first)
    return isinstance(first, kinds)
