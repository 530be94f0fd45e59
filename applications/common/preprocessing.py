"""From pixels in 0..255 to what a network was made for."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_attn._checks import check_one_of
from keras_attn.typing import Tensor
from keras_attn.weights.markers import get_metadata, get_normalisation
from keras_attn.weights.metadata import Metadata


class Normalisation(NamedTuple):
    """Mean and standard deviation of RGB channels.

    Attributes:
        mean: The means.
        std: The deviations.
        range: The scale that both are on: what pixels of 0 and 255 are.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    range: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def of(cls, metadata: Metadata) -> Normalisation:
        """That of a set of weights."""
        return cls(metadata.mean, metadata.std, metadata.range)

    @property
    def in_pixels(self) -> tuple[list[float], list[float]]:
        """Mean and deviation on the scale of 0 to 255."""
        low, high = self.range
        scale = 255 / (high - low)
        return [scale * (mean - low) for mean in self.mean], [scale * std for std in self.std]

    def apply(self, image: Tensor) -> Tensor:
        """Puts the normalisation into a network; images without 3 channels are only scaled."""
        axis = -1 if keras.config.image_data_format() == "channels_last" else 1
        if image.shape[axis] != 3:
            low, high = self.range
            return keras.layers.Rescaling((high - low) / 255, low, name="rescaling")(image)
        mean, std = self.in_pixels
        return keras.layers.Normalization(
            axis=axis,
            mean=mean,
            variance=[each**2 for each in std],
            name="normalization",
        )(image)

    def preprocess_input(
        self, x: Tensor, data_format: str | None = None, *, channels: int = 3
    ) -> Tensor:
        """Normalises an array or a tensor of pixels, RGB or of `channels`, as `apply` does."""
        data_format = data_format or keras.config.image_data_format()
        check_one_of("data_format", data_format, ("channels_last", "channels_first"))
        axis = -1 if data_format == "channels_last" else -3
        if len(x.shape) not in (3, 4) or x.shape[axis] not in (3, channels):
            raise ValueError(
                "`x` must be an RGB image or a batch of them. "
                f"Received: x of shape {tuple(x.shape)}, data_format={data_format!r}"
            )
        if x.shape[axis] != 3:
            low, high = self.range
            x = x.astype("float32") if isinstance(x, np.ndarray) else ops.cast(x, "float32")
            return x * ((high - low) / 255) + low
        shape = (3,) if data_format == "channels_last" else (3, 1, 1)
        mean, std = (np.asarray(each, "float32").reshape(shape) for each in self.in_pixels)
        if isinstance(x, np.ndarray):
            return (x.astype("float32") - mean) / std
        return ops.divide(ops.subtract(ops.cast(x, "float32"), mean), std)


# Mean and deviation of CIFAR-10's training images, as the field uses them.
CIFAR = Normalisation(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))

# Mean and deviation of ImageNet's training images, as the field uses them.
IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


# What a network that normalises itself gets: pixels as they are.
PIXELS = Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), range=(0.0, 255.0))


def preprocess_input(
    x: Tensor, data_format: str | None = None, *, model: keras.Model | None = None
) -> Tensor:
    """Normalises RGB pixels as a network takes them: (x / 255 - mean) / std.

    Mean and deviation are those of ImageNet's training images, or what a given model asks for:
    what belongs to its weights, which may ask for another scale, or to its family. It is what
    `include_preprocessing=True` puts into a network; one that has it does this itself.

    Args:
        x: Array or tensor of pixels in 0..255, of any dtype, and of shape (H, W, 3) or
            (B, H, W, 3); with `channels_first`, (3, H, W) or (B, 3, H, W). It stays as it is.
            For a model of other channels than 3, as many; they are only scaled.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        model: A network that says how; one that normalises itself gets its pixels as they are, in
            float32.

    Returns:
        A new array or tensor of x's shape, float32.

    Raises:
        ValueError: If `x` is no such image, or `data_format` is none of the two.

    Example:

    >>> pixels = np.full((1, 2, 2, 3), 255, "uint8")
    >>> print(preprocess_input(pixels)[0, 0, 0].round(3))
    [2.249 2.429 2.64 ]
    """
    return preprocess_as(IMAGENET, x, data_format, model)


def preprocess_as(
    default: Normalisation, x: Tensor, data_format: str | None, model: keras.Model | None
) -> Tensor:
    """`preprocess_input` with another normalisation where there is no model, or it doesn't say."""
    if model is None:
        return default.preprocess_input(x, data_format)
    metadata, own = get_metadata(model), get_normalisation(model)
    normalisation = default
    if _normalises(model):
        normalisation = PIXELS
    elif metadata is not None:
        normalisation = Normalisation.of(metadata)
    elif own is not None:
        normalisation = Normalisation(**own)
    return normalisation.preprocess_input(x, data_format, channels=_channels(model))


def _channels(model: keras.Model) -> int:
    """How many the model's images have; 3 where it has not said yet."""
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or []]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        return 3
    return shapes[0][-1 if keras.config.image_data_format() == "channels_last" else 1] or 3


def _normalises(model: keras.Model) -> bool:
    return any(
        layer.name in ("normalization", "rescaling")
        or (isinstance(layer, keras.Model) and _normalises(layer))
        for layer in model.layers
    )
