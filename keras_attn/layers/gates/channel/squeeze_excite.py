"""Squeeze-and-Excitation (Hu et al., CVPR 2018)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._base import ProjectingAttentionLayer
from keras_attn.layers._validation import check_choice
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.typing import Activation, Constraint, Initializer, Regularizer, Shape, Tensor


def squeeze(x: Tensor, pooling: str, spatial_axes: tuple[int, int]) -> Tensor:
    """Pools each channel over the whole map: (B, H, W, C) -> (B, C)."""
    if pooling == "max":
        return ops.max(x, axis=spatial_axes)
    # Columns, then the row of their means: TensorFlow's CPU kernel takes longer for both at once.
    axis, _ = spatial_axes
    return ops.mean(ops.mean(x, axis=axis), axis=axis)


@keras.saving.register_keras_serializable(package="keras_attn")
class SqueezeExcite(ProjectingAttentionLayer):
    """Squeeze-and-Excitation: scales each channel by a gate computed from the whole map.

    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507),
    equations 2 to 4, with the biases of the authors' Caffe models:

        z = pool(x)                            # (B, C)
        s = sigmoid(W2 relu(W1 z + b1) + b2)   # (B, C)
        y = s * x                              # (B, H, W, C)

    The gate is computed in float32 (or wider) under 16-bit policies. At initialisation it is
    near 1/2: a fresh block halves the branch it stands in, and the gradient that goes back
    through it. `keras_attn.insertion` says what that does to a trained network, and how not to.

    Args:
        ratio: Positive integer r; the bottleneck has `C // ratio` channels.
        bottleneck_channels: Positive integer that overrides `C // ratio`.
        bottleneck_divisor: Positive integer; from 2 on, the bottleneck is `C / ratio` rounded to
            the nearest multiple of it, and at least one of it. timm's `SEModule` has 8.
        pooling: `"average"` or `"max"`, the squeeze.
        activation: Activation of the bottleneck.
        gate_activation: Activation that makes the gate.
        use_bias: Whether both projections have a bias.
        kernel_initializer: Initializer of both kernels.
        bias_initializer: Initializer of both biases.
        kernel_regularizer: Regularizer of both kernels.
        bias_regularizer: Regularizer of both biases.
        kernel_constraint: Constraint of both kernels.
        bias_constraint: Constraint of both biases.
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
        ValueError: Where an argument is out of its range, or `C // ratio` is 0.

    Example:

    >>> layer = keras_attn.layers.SqueezeExcite(ratio=16)
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> y.shape, gate.shape
    (TensorShape([2, 7, 5, 32]), TensorShape([2, 1, 1, 32]))
    """

    attention_form = "channel_gate"

    def __init__(
        self,
        ratio: int = 16,
        *,
        bottleneck_channels: int | None = None,
        bottleneck_divisor: int = 1,
        pooling: str = "average",
        activation: Activation = "relu",
        gate_activation: Activation = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Initializer = "he_normal",
        bias_initializer: Initializer = "zeros",
        kernel_regularizer: Regularizer = None,
        bias_regularizer: Regularizer = None,
        kernel_constraint: Constraint = None,
        bias_constraint: Constraint = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            data_format=data_format,
            **kwargs,
        )
        self.ratio = check_positive_int("ratio", ratio)
        if bottleneck_channels is not None:
            check_positive_int("bottleneck_channels", bottleneck_channels)
        self.bottleneck_channels = bottleneck_channels
        self.bottleneck_divisor = check_positive_int("bottleneck_divisor", bottleneck_divisor)
        self.pooling = check_choice("pooling", pooling, ("average", "max"))
        self.activation = keras.activations.get(activation)
        self.gate_activation = keras.activations.get(gate_activation)

    def build(self, input_shape: Shape) -> None:
        """Makes the two projections for C channels."""
        channels = self._channels(input_shape)
        bottleneck = self.bottleneck_channels or bottleneck_width(
            channels, self.ratio, input_shape, divisor=self.bottleneck_divisor
        )
        # autocast=False keeps the weights in float32 inside `call`, as the gate is.
        self.reduce_kernel = self._add_kernel(
            "reduce_kernel", (channels, bottleneck), autocast=False
        )
        self.expand_kernel = self._add_kernel(
            "expand_kernel", (bottleneck, channels), autocast=False
        )
        if self.use_bias:
            self.reduce_bias = self._add_bias("reduce_bias", bottleneck, autocast=False)
            self.expand_bias = self._add_bias("expand_bias", channels, autocast=False)
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        pooled = squeeze(ops.cast(inputs, self.attention_dtype), self.pooling, self.spatial_axes)
        hidden = ops.matmul(pooled, self.reduce_kernel)  # (B, C // r)
        if self.use_bias:
            hidden = ops.add(hidden, self.reduce_bias)
        gate = ops.matmul(self.activation(hidden), self.expand_kernel)  # (B, C)
        if self.use_bias:
            gate = ops.add(gate, self.expand_bias)
        gate = ops.expand_dims(self.gate_activation(gate), self.spatial_axes)  # (B, 1, 1, C)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input."""
        return tuple(input_shape)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: (B, 1, 1, C)."""
        return self._image_shape(input_shape[0], (1, 1), self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "bottleneck_channels": self.bottleneck_channels,
            "bottleneck_divisor": self.bottleneck_divisor,
            "pooling": self.pooling,
            "activation": keras.activations.serialize(self.activation),
            "gate_activation": keras.activations.serialize(self.gate_activation),
        }
