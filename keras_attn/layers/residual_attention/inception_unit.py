"""A residual unit with branches, after Inception-ResNet (Szegedy et al., AAAI 2017)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers.residual_attention.residual_units import _ResidualUnit
from keras_attn.typing import Initializer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class InceptionResNetUnit(_ResidualUnit):
    """A residual unit of three branches, for an Inception form of the Residual Attention Network.

    After the Inception-ResNet-A module of [Szegedy et al., "Inception-v4, Inception-ResNet and
    the Impact of Residual Connections on Learning", AAAI 2017](https://arxiv.org/abs/1602.07261),
    figure 10, which has 32 channels in each branch and 256 in all:

        y = relu(bn(conv1x1(concat[1x1(x), 3x3(1x1(x)), 3x3(3x3(1x1(x)))])) + shortcut)

    with `filters // 8` channels in each branch, where every convolution is followed by BN-ReLU.
    The shortcut is x, or bn(conv1x1(x)) where the unit changes the shape. That any width, a
    stride (in the last convolution of each branch), no biases and a BatchNormalization at the
    branches' end are fit for that network is our choice: its authors released none.

    Args:
        filters: Positive integer, the channels of the output, divisible by 8.
        strides: Positive integer.
        kernel_initializer: Initializer of all kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) if `channels_first`.

    Output shape:
        (B, ceil(H / strides), ceil(W / strides), filters).

    Raises:
        ValueError: If `filters` is not divisible by 8, or an argument is out of its range.

    Example:

    >>> unit = keras_attn.layers.InceptionResNetUnit(16, strides=2)
    >>> unit(np.ones((1, 8, 6, 4), "float32")).shape
    TensorShape([1, 4, 3, 16])
    """

    def __init__(
        self,
        filters: int,
        *,
        strides: int = 1,
        kernel_initializer: Initializer = "he_normal",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            strides=strides,
            kernel_initializer=kernel_initializer,
            data_format=data_format,
            **kwargs,
        )
        if self.filters % 8:
            raise ValueError(f"`filters` must be divisible by 8. Received: filters={filters}")
        width = self.filters // 8
        # Each branch: layers in order; a BatchNormalization is followed by a ReLU.
        self.branches = []
        for branch, kernel_sizes in enumerate(((1,), (1, 3), (1, 3, 3)), start=1):
            steps: list[keras.layers.Layer] = []
            for i, size in enumerate(kernel_sizes, start=1):
                place = f"branch{branch}_{{}}{i}"
                if size == 3:
                    steps.append(self._pad(place.format("pad")))
                last = self.strides if i == len(kernel_sizes) else 1
                steps.append(self._convolution(place.format("conv"), width, size, strides=last))
                steps.append(self._batch_norm(place.format("bn")))
            self.branches.append(steps)
        self.conv = self._convolution("conv", self.filters)
        self.bn = self._batch_norm("bn")

    def build(self, input_shape: Shape) -> None:
        """Builds the branches, and the projection where the unit changes the shape."""
        changes_shape = self._changes_shape(input_shape)
        for steps in self.branches:
            self._build_steps(steps, input_shape)
        joined = list(self.compute_output_shape(input_shape))
        joined[self._channel_axis] = 3 * (self.filters // 8)
        self._build_steps([self.conv, self.bn], tuple(joined))
        if changes_shape:
            self.projection = self._convolution("projection", self.filters, strides=self.strides)
            self.projection_bn = self._batch_norm("projection_bn")
            self._build_steps([self.projection, self.projection_bn], input_shape)
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Returns relu(branches + shortcut)."""
        branches = [self._branch(steps, inputs, training) for steps in self.branches]
        x = ops.concatenate(branches, axis=self._channel_axis)  # (B, H, W, 3 filters / 8)
        x = self.bn(self.conv(x), training=training)
        shortcut = inputs
        if self.projection is not None:
            shortcut = self.projection_bn(self.projection(inputs), training=training)
        return ops.relu(ops.add(x, shortcut))

    @staticmethod
    def _branch(steps: list[keras.layers.Layer], x: Tensor, training: bool | None) -> Tensor:
        for step in steps:
            if isinstance(step, keras.layers.BatchNormalization):
                x = ops.relu(step(x, training=training))
            else:
                x = step(x)
        return x
