"""The Convolutional Block Attention Module (Woo et al., ECCV 2018) and its two gates."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_odd, check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_choice
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.layers.gates.channel.squeeze_excite import squeeze
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

POOL_ORDERS = ("max_mean", "mean_max")


def pool_channels(x: Tensor, order: str, channel_axis: int) -> Tensor:
    """The greatest and the mean value of each place: (B, H, W, C) -> (B, H, W, 2)."""
    greatest = ops.max(x, axis=channel_axis, keepdims=True)
    mean = ops.mean(x, axis=channel_axis, keepdims=True)
    pair = [greatest, mean] if order == "max_mean" else [mean, greatest]
    return ops.concatenate(pair, axis=channel_axis)


@keras.saving.register_keras_serializable(package="keras_attn")
class ChannelGate(ComposedAttentionLayer):
    """CBAM's channel gate: one MLP over the mean and over the maximum of the map.

    [Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018](
    https://arxiv.org/abs/1807.06521), equation 2, and `ChannelGate` of the authors' `cbam.py`:

        s = sigmoid(MLP(mean(x)) + MLP(max(x)))    # (B, C); MLP(z) = W2 relu(W1 z + b1) + b2
        y = s * x

    The gate is computed in float32 (or wider) under 16-bit policies. A fresh one is about 0.65:
    the MLP has no bias yet, but sees large maxima.

    Args:
        ratio: Positive integer r; the MLP has `C // ratio` channels inside.
        use_bias: Whether the MLP has biases: the authors' has, timm's has none.
        kernel_initializer: Initializer of both kernels.
        kernel_regularizer: Regularizer of both kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, gate)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the gate, float32, has shape (B, 1, 1, C).

    Raises:
        ValueError: If `ratio` is no positive integer, or `C // ratio` is 0.

    Example:

    >>> layer = keras_attn.layers.ChannelGate(ratio=8)
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> y.shape, gate.shape
    (TensorShape([2, 7, 5, 32]), TensorShape([2, 1, 1, 32]))
    """

    attention_form = "channel_gate"

    def __init__(
        self,
        ratio: int = 16,
        *,
        use_bias: bool = True,
        kernel_initializer: Initializer = "he_normal",
        kernel_regularizer: Regularizer = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            data_format=data_format,
            **kwargs,
        )
        self.ratio = check_positive_int("ratio", ratio)
        self.use_bias = use_bias

    def build(self, input_shape: Shape) -> None:
        """Makes the MLP for C channels."""
        channels = self._channels(input_shape)
        width = bottleneck_width(channels, self.ratio, input_shape)
        options = {"use_bias": self.use_bias, "dtype": self.attention_policy}
        self.reduce = built(self._dense("reduce", width, **options), (None, channels))
        self.expand = built(self._dense("expand", channels, **options), (None, width))
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        x = ops.cast(inputs, self.attention_dtype)
        mean, greatest = (
            self.expand(ops.relu(self.reduce(squeeze(x, pooling, self.spatial_axes))))
            for pooling in ("average", "max")
        )
        gate = ops.sigmoid(ops.add(mean, greatest))  # (B, C)
        gate = ops.expand_dims(gate, self.spatial_axes)  # (B, 1, 1, C)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: (B, 1, 1, C)."""
        return self._image_shape(input_shape[0], (1, 1), self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "ratio": self.ratio, "use_bias": self.use_bias}


@keras.saving.register_keras_serializable(package="keras_attn")
class SpatialGate(ComposedAttentionLayer):
    """CBAM's spatial gate: a convolution over the maximum and the mean of the channels.

    [Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018](
    https://arxiv.org/abs/1807.06521), equation 3, and `SpatialGate` of the authors' `cbam.py`:

        m = sigmoid(bn(conv7x7([max_c(x), mean_c(x)])))    # (B, H, W, 1)
        y = m * x

    The convolution has no bias. The gate is computed in float32 (or wider) under 16-bit policies.

    Args:
        kernel_size: Positive odd integer, the side of the convolution's kernel.
        pool_order: `"max_mean"` as the authors' code, or `"mean_max"` as timm and the paper's
            formula: the order of the two channels that the kernel sees.
        batch_norm_momentum: Keras's momentum, 1 - PyTorch's: the authors' 0.99, timm's 0.9.
        zero_gamma: Whether BatchNormalization's gamma starts at 0, as in the authors' networks:
            every place's gate then starts at 1/2.
        kernel_initializer: Initializer of the kernel.
        kernel_regularizer: Regularizer of the kernel.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, gate)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the gate, float32, has shape (B, H, W, 1).

    Raises:
        ValueError: Where an argument is out of its range.

    Example:

    >>> layer = keras_attn.layers.SpatialGate(zero_gamma=True)
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, float(gate[0, 0, 0, 0])
    (TensorShape([2, 7, 5, 1]), 0.5)
    """

    attention_form = "place_gate"

    def __init__(
        self,
        kernel_size: int = 7,
        *,
        pool_order: str = "max_mean",
        batch_norm_momentum: float = 0.99,
        zero_gamma: bool = False,
        kernel_initializer: Initializer = "he_normal",
        kernel_regularizer: Regularizer = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            data_format=data_format,
            **kwargs,
        )
        self.kernel_size = check_odd("kernel_size", kernel_size)
        self.pool_order = check_choice("pool_order", pool_order, POOL_ORDERS)
        self.batch_norm_momentum = batch_norm_momentum
        self.zero_gamma = zero_gamma

    def build(self, input_shape: Shape) -> None:
        """Makes the convolution, whose size doesn't depend on C."""
        convolution = self._conv2d(
            "conv",
            1,
            self.kernel_size,
            padding="same",
            use_bias=False,
            dtype=self.attention_policy,
        )
        batch_norm = self._batch_norm(
            "bn",
            momentum=self.batch_norm_momentum,
            gamma_initializer="zeros" if self.zero_gamma else "ones",
            dtype=self.attention_policy,
        )
        size = self._spatial(input_shape)
        self.conv = built(convolution, self._image_shape(input_shape[0], size, 2))
        self.bn = built(batch_norm, self._image_shape(input_shape[0], size, 1))
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        x = ops.cast(inputs, self.attention_dtype)
        pooled = pool_channels(x, self.pool_order, self.channel_axis)  # (B, H, W, 2)
        gate = ops.sigmoid(self.bn(self.conv(pooled), training=training))  # (B, H, W, 1)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: (B, H, W, 1)."""
        return self._image_shape(input_shape[0], self._spatial(input_shape), 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "pool_order": self.pool_order,
            "batch_norm_momentum": self.batch_norm_momentum,
            "zero_gamma": self.zero_gamma,
        }


@keras.saving.register_keras_serializable(package="keras_attn")
class CBAM(ComposedAttentionLayer):
    """The Convolutional Block Attention Module: a channel gate, then a spatial gate.

    [Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018](
    https://arxiv.org/abs/1807.06521), equation 1, and `CBAM` of the authors' `cbam.py`:

        x' = ChannelGate(x)
        y  = SpatialGate(x')

    The defaults are the authors' code. timm's `CbamModule` is `CBAM(use_bias=False,
    pool_order="mean_max", batch_norm_momentum=0.9)`. For the gates by themselves, and for other
    orders of them, see `ChannelGate` and `SpatialGate`.

    Both gates are computed in float32 (or wider) under 16-bit policies. A fresh layer leaves
    between 0.07 and 0.5 of a map (standard deviations, three seeds), as its BatchNormalization has
    no statistics yet; with `zero_gamma=True`, as the authors train it, 0.33.

    Args:
        ratio: Positive integer r of the channel gate.
        kernel_size: Positive odd integer, the side of the spatial gate's kernel.
        use_bias: Whether the channel gate's MLP has biases.
        pool_order: `"max_mean"` or `"mean_max"`, see `SpatialGate`.
        batch_norm_momentum: Keras's momentum of the spatial gate's BatchNormalization.
        zero_gamma: Whether its gamma starts at 0, as in the authors' networks.
        kernel_initializer: Initializer of the three kernels.
        kernel_regularizer: Regularizer of the three kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, gate)`, the gate being the product of both.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the gate, float32, likewise.

    Raises:
        ValueError: Where an argument is out of its range, or `C // ratio` is 0.

    Example:

    >>> layer = keras_attn.layers.CBAM(ratio=8)
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> y.shape, gate.shape
    (TensorShape([2, 7, 5, 32]), TensorShape([2, 7, 5, 32]))
    """

    attention_form = "mask"

    def __init__(
        self,
        ratio: int = 16,
        *,
        kernel_size: int = 7,
        use_bias: bool = True,
        pool_order: str = "max_mean",
        batch_norm_momentum: float = 0.99,
        zero_gamma: bool = False,
        kernel_initializer: Initializer = "he_normal",
        kernel_regularizer: Regularizer = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            data_format=data_format,
            **kwargs,
        )
        # Between the gates, too, nothing is rounded to 16 bits.
        exact = {"dtype": self.attention_policy, "data_format": self.data_format}
        part = {**self._kernel_arguments(), **exact}
        self.channel_gate = ChannelGate(ratio, use_bias=use_bias, name="channel_gate", **part)
        self.spatial_gate = SpatialGate(
            kernel_size,
            pool_order=pool_order,
            batch_norm_momentum=batch_norm_momentum,
            zero_gamma=zero_gamma,
            name="spatial_gate",
            **part,
        )

    def build(self, input_shape: Shape) -> None:
        """Builds both gates."""
        self.channel_gate.build(input_shape)
        self.spatial_gate.build(input_shape)
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        x, channel_gate = self.channel_gate(inputs, return_attention=True)
        outputs, spatial_gate = self.spatial_gate(x, training=training, return_attention=True)
        outputs = ops.cast(outputs, self.compute_dtype)
        if not return_attention:
            return outputs
        return outputs, ops.multiply(channel_gate, spatial_gate)  # (B, H, W, C)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gates' product: as the input."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.channel_gate.ratio,
            "kernel_size": self.spatial_gate.kernel_size,
            "use_bias": self.channel_gate.use_bias,
            "pool_order": self.spatial_gate.pool_order,
            "batch_norm_momentum": self.spatial_gate.batch_norm_momentum,
            "zero_gamma": self.spatial_gate.zero_gamma,
        }
