"""The residual units of the Residual Attention Network (Wang et al., CVPR 2017).

`PreActivationBottleneck` is the unit of Attention-56 and -92, `ResNeXtBottleneck` that of
AttentionNeXt-56 and -92, both read from the authors' prototxts.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._base import clone_initializer
from keras_attn.layers._parts import LayerOfParts
from keras_attn.layers._validation import check_channels, check_data_format
from keras_attn.layers.building_blocks.batch_normalization import BatchNormalization
from keras_attn.layers.building_blocks.grouped_conv2d import GroupedConv2D
from keras_attn.typing import Initializer, Shape, Tensor

BATCH_NORM_MOMENTUM = 0.9
BATCH_NORM_EPSILON = 1e-5


class _ResidualUnit(LayerOfParts):
    """What both units share: their arguments, and how their convolutions are made.

    Subclasses fill `_steps`, the branch from input to output, and `projection`, the 1x1
    convolution of the shortcut where the unit changes the shape.
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
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.strides = check_positive_int("strides", strides)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.data_format = check_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)
        self.projection: Any = None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, ceil(H / strides), ceil(W / strides), filters)."""
        batch, *rest = input_shape
        size = rest[:2] if self.data_format == "channels_last" else rest[1:]
        size = [None if length is None else -(-length // self.strides) for length in size]
        if self.data_format == "channels_last":
            return (batch, *size, self.filters)
        return (batch, self.filters, *size)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "data_format": self.data_format,
        }

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _changes_shape(self, input_shape: Shape) -> bool:
        check_channels(type(self).__name__, input_shape, self.data_format)
        return self.strides != 1 or input_shape[self._channel_axis] != self.filters

    def _convolution(
        self, name: str, filters: int, kernel_size: int = 1, **kwargs: Any
    ) -> keras.layers.Conv2D:
        layer = GroupedConv2D if "groups" in kwargs else keras.layers.Conv2D
        return layer(
            filters,
            kernel_size,
            use_bias=False,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            data_format=self.data_format,
            dtype=self.dtype_policy,
            name=name,
            **kwargs,
        )

    def _batch_norm(self, name: str) -> BatchNormalization:
        return batch_norm(name, self.data_format, self.dtype_policy)

    def _pad(self, name: str) -> keras.layers.ZeroPadding2D:
        # One pixel on every side: "same" would pad a strided convolution on one side only.
        return keras.layers.ZeroPadding2D(
            1, data_format=self.data_format, dtype=self.dtype_policy, name=name
        )

    def _build_steps(self, steps: list[keras.layers.Layer], input_shape: Shape) -> None:
        for step in steps:
            step.build(input_shape)
            input_shape = step.compute_output_shape(input_shape)


def batch_norm(
    name: str,
    data_format: str,
    dtype: Any = None,
    momentum: float = BATCH_NORM_MOMENTUM,
    gamma_initializer: Initializer = "ones",
) -> BatchNormalization:
    """The authors' BatchNormalization: epsilon 1e-5, momentum 0.9, over the channels."""
    return BatchNormalization(
        axis=-1 if data_format == "channels_last" else 1,
        momentum=momentum,
        epsilon=BATCH_NORM_EPSILON,
        gamma_initializer=gamma_initializer,
        dtype=dtype,
        name=name,
    )


@keras.saving.register_keras_serializable(package="keras_attn")
class PreActivationBottleneck(_ResidualUnit):
    """The pre-activation bottleneck unit of Attention-56 and -92.

        a = relu(bn(x))
        y = conv1x1(relu(bn(conv3x3(relu(bn(conv1x1(a))))))) + shortcut

    with `filters // 4` channels inside, the stride in the 3x3, and no biases. The shortcut is x,
    or a 1x1 convolution of `a` (no BatchNormalization) where the unit changes the shape.

    Source: the authors' prototxts `Attention-56` and `Attention-92`.

    Args:
        filters: Positive integer, the channels of the output, divisible by 4.
        strides: Positive integer.
        kernel_initializer: Initializer of all kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) if `channels_first`.

    Output shape:
        (B, ceil(H / strides), ceil(W / strides), filters).

    Raises:
        ValueError: If `filters` is not divisible by 4, or an argument is out of its range.

    Example:

    >>> unit = keras_attn.layers.PreActivationBottleneck(16, strides=2)
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
        if self.filters % 4:
            raise ValueError(f"`filters` must be divisible by 4. Received: filters={filters}")
        width = self.filters // 4
        self.bn1 = self._batch_norm("bn1")
        self.conv1 = self._convolution("conv1", width)
        self.bn2 = self._batch_norm("bn2")
        self.pad = self._pad("pad")
        self.conv2 = self._convolution("conv2", width, 3, strides=self.strides)
        self.bn3 = self._batch_norm("bn3")
        self.conv3 = self._convolution("conv3", self.filters)

    def build(self, input_shape: Shape) -> None:
        """Builds the branch, and the projection where the unit changes the shape."""
        changes_shape = self._changes_shape(input_shape)
        steps = [self.bn1, self.conv1, self.bn2, self.pad, self.conv2, self.bn3, self.conv3]
        self._build_steps(steps, input_shape)
        if changes_shape:
            self.projection = self._convolution("projection", self.filters, strides=self.strides)
            self.projection.build(input_shape)
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Returns branch + shortcut."""
        a = ops.relu(self.bn1(inputs, training=training))
        x = self.conv1(a)
        x = ops.relu(self.bn2(x, training=training))
        x = self.conv2(self.pad(x))
        x = ops.relu(self.bn3(x, training=training))
        x = self.conv3(x)
        shortcut = inputs if self.projection is None else self.projection(a)
        return ops.add(x, shortcut)


@keras.saving.register_keras_serializable(package="keras_attn")
class ResNeXtBottleneck(_ResidualUnit):
    """The post-activation ResNeXt unit of AttentionNeXt-56 and -92.

        y = relu(bn(conv1x1(relu(bn(grouped3x3(relu(bn(conv1x1(x)))))))) + shortcut)

    with `filters // 2` channels in `cardinality` groups inside, the stride in the 3x3, and no
    biases. The shortcut is x, or bn(conv1x1(x)) where the unit changes the shape.

    Source: the authors' prototxts `AttentionNeXt-56` and `AttentionNeXt-92`.

    Args:
        filters: Positive integer, the channels of the output; its half is divisible by
            `cardinality`.
        strides: Positive integer.
        cardinality: Positive integer, the groups of the 3x3 convolution.
        kernel_initializer: Initializer of all kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) if `channels_first`.

    Output shape:
        (B, ceil(H / strides), ceil(W / strides), filters).

    Raises:
        ValueError: If `filters` is not divisible by `2 * cardinality`, or an argument is out of
            its range.

    Example:

    >>> unit = keras_attn.layers.ResNeXtBottleneck(16, cardinality=4)
    >>> unit(np.ones((1, 8, 6, 16), "float32")).shape
    TensorShape([1, 8, 6, 16])
    """

    def __init__(
        self,
        filters: int,
        *,
        strides: int = 1,
        cardinality: int = 32,
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
        self.cardinality = check_positive_int("cardinality", cardinality)
        if self.filters % (2 * self.cardinality):
            raise ValueError(
                "`filters` must be divisible by 2 * `cardinality`. "
                f"Received: filters={filters}, cardinality={cardinality}"
            )
        width = self.filters // 2
        self.conv1 = self._convolution("conv1", width)
        self.bn1 = self._batch_norm("bn1")
        self.pad = self._pad("pad")
        self.conv2 = self._convolution(
            "conv2", width, 3, strides=self.strides, groups=self.cardinality
        )
        self.bn2 = self._batch_norm("bn2")
        self.conv3 = self._convolution("conv3", self.filters)
        self.bn3 = self._batch_norm("bn3")

    def build(self, input_shape: Shape) -> None:
        """Builds the branch, and the projection where the unit changes the shape."""
        changes_shape = self._changes_shape(input_shape)
        steps = [self.conv1, self.bn1, self.pad, self.conv2, self.bn2, self.conv3, self.bn3]
        self._build_steps(steps, input_shape)
        if changes_shape:
            self.projection = self._convolution("projection", self.filters, strides=self.strides)
            self.projection_bn = self._batch_norm("projection_bn")
            self._build_steps([self.projection, self.projection_bn], input_shape)
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Returns relu(branch + shortcut)."""
        x = ops.relu(self.bn1(self.conv1(inputs), training=training))
        x = ops.relu(self.bn2(self.conv2(self.pad(x)), training=training))
        x = self.bn3(self.conv3(x), training=training)
        shortcut = inputs
        if self.projection is not None:
            shortcut = self.projection_bn(self.projection(inputs), training=training)
        return ops.relu(ops.add(x, shortcut))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "cardinality": self.cardinality}
