"""The few layers that the networks repeat, with the names that make a checkpoint's ABI."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def channel_axis() -> int:
    """The channels' axis under Keras's global image data format."""
    return -1 if keras.config.image_data_format() == "channels_last" else 1


def norm(x: Any, name: str) -> Any:
    """BatchNormalization over the channels: epsilon 1e-5, momentum 0.9."""
    return layers.BatchNormalization(axis=channel_axis(), momentum=0.9, epsilon=1e-5, name=name)(x)


def norm_relu(x: Any, prefix: str, suffix: str = "") -> Any:
    """BatchNormalization, then ReLU: `{prefix}_bn{suffix}` and `{prefix}_relu{suffix}`."""
    x = norm(x, f"{prefix}_bn{suffix}")
    return layers.Activation("relu", name=f"{prefix}_relu{suffix}")(x)


def convolution(x: Any, filters: int, kernel_size: int = 3, *, strides: int = 1, name: str) -> Any:
    """A convolution without bias, padded by `kernel_size // 2` on every side.

    Keras's `same` pads a strided convolution on one side only; the networks' authors pad both.
    """
    padding = "same"
    if strides > 1 and kernel_size > 1:
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
