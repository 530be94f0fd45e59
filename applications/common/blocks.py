"""The few layers that the networks repeat, with the names that make a checkpoint's ABI."""

from __future__ import annotations

from functools import partial

import keras
from keras import layers

from keras_attn.layers import BatchNormalization, GroupedConv2D
from keras_attn.typing import Tensor


def channel_axis() -> int:
    """The channels' axis under Keras's global image data format."""
    return -1 if keras.config.image_data_format() == "channels_last" else 1


def norm(x: Tensor, name: str) -> Tensor:
    """BatchNormalization over the channels: epsilon 1e-5, momentum 0.9."""
    return BatchNormalization(axis=channel_axis(), momentum=0.9, epsilon=1e-5, name=name)(x)


def norm_relu(x: Tensor, prefix: str, suffix: str = "") -> Tensor:
    """BatchNormalization, then ReLU: `{prefix}_bn{suffix}` and `{prefix}_relu{suffix}`."""
    x = norm(x, f"{prefix}_bn{suffix}")
    return layers.Activation("relu", name=f"{prefix}_relu{suffix}")(x)


def convolution(
    x: Tensor,
    filters: int,
    kernel_size: int = 3,
    *,
    strides: int = 1,
    groups: int = 1,
    dilation: int = 1,
    name: str,
) -> Tensor:
    """A convolution without bias, padded by `dilation * (kernel_size // 2)` on every side.

    Keras's `same` pads a strided convolution on one side only; the networks' authors pad both.
    One that is dilated has no strides.
    """
    padding = "same"
    if strides > 1 and kernel_size > 1:
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    layer = layers.Conv2D if groups == 1 else partial(GroupedConv2D, groups=groups)
    return layer(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def depthwise_convolution(
    x: Tensor, kernel_size: int = 3, *, strides: int = 1, padding: str = "symmetric", name: str
) -> Tensor:
    """A depthwise convolution without bias, padded by `kernel_size // 2` on every side.

    With `padding="same"` it is padded as Keras does, on one side only where it strides. The
    initializer is He's for the `kernel_size**2` pixels that make an output; Keras's `he_normal`
    would count those of all channels.
    """
    if padding == "symmetric" and strides > 1:
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
    return layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding="valid" if padding == "symmetric" and strides > 1 else "same",
        use_bias=False,
        depthwise_initializer=keras.initializers.VarianceScaling(2.0, "fan_out"),
        name=name,
    )(x)


def padded_max_pool(x: Tensor, name: str) -> Tensor:
    """A 3x3 max pool of stride 2, padded by 1 on every side, behind a ReLU.

    There zeros around the map are as good as the -inf of a padded max pool.
    """
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)


def same_convolution(
    x: Tensor, filters: int, kernel_size: int = 3, *, strides: int = 1, name: str
) -> Tensor:
    """A convolution without bias, padded as Keras does: on one side only where it strides."""
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
