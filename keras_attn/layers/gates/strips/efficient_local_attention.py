"""Efficient local attention (Xu and Wan, 2024)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_odd, check_positive_int
from keras_attn.layers._composed import built
from keras_attn.layers._validation import check_groups
from keras_attn.layers.gates.strips._strips import StripGate
from keras_attn.typing import Activation, Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class EfficientLocalAttention(StripGate):
    """ELA: rows and columns gated by convolutions along their means, with no bottleneck.

    [Xu and Wan, "ELA: Efficient Local Attention for Deep Convolutional Neural Networks", 2024](
    https://arxiv.org/abs/2403.01123), as timm's `EfficientLocalAttn`; the authors have published
    no code that we know of:

        g_h = sigmoid(silu(gn(depthwise_h(mean over W of x))))     # (B, H, 1, C)
        g_w = sigmoid(silu(gn(depthwise_w(mean over H of x))))     # (B, 1, W, C)
        y   = x * g_h * g_w

    gn normalizes a group of channels over its strip; timm's is one group. The forms that are
    copied elsewhere have 16 groups, no activation, and one convolution for both directions:
    `normalization_groups=16, activation=None` is theirs but for the last.

    All but the last product is computed in float32 (or wider) under 16-bit policies. A fresh layer
    leaves about a third of its map.

    Args:
        kernel_size: Positive odd integer, the length of the kernels.
        normalization_groups: Positive integer that divides C.
        activation: Activation behind the normalization; `None` is none.
        use_bias: Whether the convolutions have biases.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, gate)`, the gate being g_h g_w.

    Input shape:
        (B, H, W, C), any H and W; C is divisible by `normalization_groups`.

    Output shape:
        As the input; the gate, float32, likewise.

    Raises:
        ValueError: If `kernel_size` is not odd, or C can't be divided into the groups.

    Example:

    >>> layer = keras_attn.layers.EfficientLocalAttention()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, layer.count_params()
    (TensorShape([2, 7, 5, 32]), 576)
    """

    def __init__(
        self,
        kernel_size: int = 7,
        *,
        normalization_groups: int = 1,
        activation: Activation = "silu",
        use_bias: bool = False,
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
        self.normalization_groups = check_positive_int("normalization_groups", normalization_groups)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias

    def build(self, input_shape: Shape) -> None:
        """Makes a convolution and a normalization of each direction."""
        channels = self._channels(input_shape)
        check_groups(self.normalization_groups, channels, input_shape, name="normalization_groups")
        for direction in ("rows", "columns"):
            convolution = self._depthwise(direction, channels, self.kernel_size, self.use_bias)
            normalization = keras.layers.GroupNormalization(
                self.normalization_groups,
                epsilon=1e-5,
                dtype=self.attention_policy,
                name=f"{direction}_norm",
            )
            setattr(self, direction, convolution)
            setattr(self, f"{direction}_norm", built(normalization, (None, None, channels)))
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        rows, columns = self._means(inputs)
        rows = self.activation(self.rows_norm(self.rows(rows)))  # (B, H, C)
        columns = self.activation(self.columns_norm(self.columns(columns)))  # (B, W, C)
        gate = ops.sigmoid(rows)[:, :, None] * ops.sigmoid(columns)[:, None]  # (B, H, W, C)
        return self._outputs(inputs, gate, return_attention)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "normalization_groups": self.normalization_groups,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
