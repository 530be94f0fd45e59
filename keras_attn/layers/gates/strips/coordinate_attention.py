"""Coordinate attention (Hou et al., CVPR 2021)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import built
from keras_attn.layers.gates.strips._strips import StripGate
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

MIN_BOTTLENECK_CHANNELS = 8  # the authors'


@keras.saving.register_keras_serializable(package="keras_attn")
class CoordinateAttention(StripGate):
    """Coordinate attention: each place gated by its row's and its column's means.

    [Hou et al., "Coordinate Attention for Efficient Mobile Network Design", CVPR 2021](
    https://arxiv.org/abs/2103.02907), equations 4 to 9:

        f   = hard_swish(bn(F1 [mean over W of x; mean over H of x]))     # (B, H + W, c)
        g_h = sigmoid(F_h f[:H])                                          # (B, H, 1, C)
        g_w = sigmoid(F_w f[H:])                                          # (B, 1, W, C)
        y   = x * g_h * g_w

    The defaults follow the authors' network for ImageNet: c = max(8, C // 32), with biases.
    timm's `CoordAttn` is `CoordinateAttention(bottleneck_channels=c, use_bias=False)`, its c being
    C / 24 rounded to a multiple of 8.

    All but the last products run in float32 (or wider) under 16-bit policies. A fresh layer leaves
    a quarter of its map: each of its two gates is near 1/2.

    Args:
        ratio: Positive integer r; the bottleneck has `C // ratio` channels, but at least 8.
        bottleneck_channels: Positive integer that overrides `max(8, C // ratio)`.
        use_bias: Whether the three projections have biases.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, gate)`, the gate being g_h g_w.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the gate, float32, likewise.

    Raises:
        ValueError: If `ratio` or `bottleneck_channels` is no positive integer.

    Example:

    >>> layer = keras_attn.layers.CoordinateAttention()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> y.shape, gate.shape
    (TensorShape([2, 7, 5, 32]), TensorShape([2, 7, 5, 32]))
    """

    def __init__(
        self,
        ratio: int = 32,
        *,
        bottleneck_channels: int | None = None,
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
        if bottleneck_channels is not None:
            check_positive_int("bottleneck_channels", bottleneck_channels)
        self.bottleneck_channels = bottleneck_channels
        self.use_bias = use_bias

    def build(self, input_shape: Shape) -> None:
        """Makes the three projections for C channels."""
        channels = self._channels(input_shape)
        least = max(MIN_BOTTLENECK_CHANNELS, channels // self.ratio)
        width = self.bottleneck_channels or least
        exact = {"dtype": self.attention_policy}
        options = {"use_bias": self.use_bias, **exact}
        batch_norm = self._batch_norm("bn", data_format="channels_last", **exact)
        self.reduce = built(self._dense("reduce", width, **options), (None, None, channels))
        self.bn = built(batch_norm, (None, None, width))
        self.rows = built(self._dense("rows", channels, **options), (None, None, width))
        self.columns = built(self._dense("columns", channels, **options), (None, None, width))
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        rows, columns = self._means(inputs)
        height = ops.shape(rows)[1]
        hidden = self.reduce(ops.concatenate([rows, columns], axis=1))  # (B, H + W, c)
        hidden = ops.hard_silu(self.bn(hidden, training=training))
        gate_h = ops.sigmoid(self.rows(hidden[:, :height]))[:, :, None]  # (B, H, 1, C)
        gate_w = ops.sigmoid(self.columns(hidden[:, height:]))[:, None]  # (B, 1, W, C)
        gate = ops.multiply(gate_h, gate_w)  # (B, H, W, C)
        return self._outputs(inputs, gate, return_attention)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "bottleneck_channels": self.bottleneck_channels,
            "use_bias": self.use_bias,
        }
