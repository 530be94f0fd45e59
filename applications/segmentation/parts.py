"""What segmenters share: the steps of heads, the end."""

from __future__ import annotations

from typing import Any

import keras

from keras_attn.applications.common.blocks import channel_axis, norm_relu
from keras_attn.applications.common.construction import at_least_float32
from keras_attn.applications.segmentation.resizing import ResizeLike
from keras_attn.typing import Activation, Tensor


def channels_of(x: Tensor) -> int:
    """The number of a map's channels."""
    return int(x.shape[channel_axis()])


def convolved(x: Tensor, filters: int, kernel_size: int, *, dilation: int = 1, name: str) -> Tensor:
    """Convolution, BatchNormalization, ReLU: `{name}_conv`, `{name}_bn`, `{name}_relu`."""
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return norm_relu(x, name)


def scores(x: Tensor, classes: int, name: str = "scores") -> Tensor:
    """A score of each class at each place, float32 under 16-bit policies."""
    return keras.layers.Conv2D(classes, 1, dtype=at_least_float32(), name=name)(x)


def of_pixels(
    x: Tensor, image: Tensor, activation: Activation, name: str = "predictions"
) -> Tensor:
    """Scores as classes of the image's pixels, (B, H, W, K) in either data format."""
    wide: dict[str, Any] = {"dtype": at_least_float32()}
    x = ResizeLike(name=f"{name}_resized", **wide)(x, image)
    if channel_axis() == 1:
        x = keras.layers.Permute((2, 3, 1), name=f"{name}_last", **wide)(x)
    return keras.layers.Activation(activation, name=name, **wide)(x)
