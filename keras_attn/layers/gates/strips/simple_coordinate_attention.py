"""timm's simple form of coordinate attention."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import built
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.layers.gates.strips._strips import StripGate
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class SimpleCoordinateAttention(StripGate):
    """Coordinate attention without normalization, one gate from a sum: timm's, in no paper.

    [Hou et al., "Coordinate Attention for Efficient Mobile Network Design", CVPR 2021](
    https://arxiv.org/abs/2103.02907), normalize over the batch, and multiply two gates. timm's
    `SimpleCoordAttn`:

        f_h = silu(F1 mean over W of x)                  # (B, H, c)
        f_w = silu(F1 mean over H of x)                  # (B, W, c)
        y   = x * sigmoid(F_h f_h + F_w f_w)             # (B, H, W, C)

    c is C / 6 rounded to a multiple of 8, as timm's. All but the last product is computed in
    float32 (or wider) under 16-bit policies. A fresh layer about halves its map.

    Args:
        ratio: Positive integer r; the bottleneck has about C / r channels, but at least 8.
        bottleneck_channels: Positive integer that overrides this.
        use_bias: Whether the three projections have biases.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, gate)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the gate, float32, likewise.

    Raises:
        ValueError: If `ratio` or `bottleneck_channels` is no positive integer.

    Example:

    >>> layer = keras_attn.layers.SimpleCoordinateAttention()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> y.shape, gate.shape
    (TensorShape([2, 7, 5, 32]), TensorShape([2, 7, 5, 32]))
    """

    def __init__(
        self,
        ratio: int = 6,
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
        width = self.bottleneck_channels or bottleneck_width(
            channels, self.ratio, input_shape, divisor=8
        )
        options = {"use_bias": self.use_bias, "dtype": self.attention_policy}
        self.reduce = built(self._dense("reduce", width, **options), (None, None, channels))
        self.rows = built(self._dense("rows", channels, **options), (None, None, width))
        self.columns = built(self._dense("columns", channels, **options), (None, None, width))
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        rows, columns = self._means(inputs)
        height = ops.shape(rows)[1]
        hidden = ops.silu(self.reduce(ops.concatenate([rows, columns], axis=1)))  # (B, H + W, c)
        of_rows = self.rows(hidden[:, :height])[:, :, None]  # (B, H, 1, C)
        of_columns = self.columns(hidden[:, height:])[:, None]  # (B, 1, W, C)
        gate = ops.sigmoid(of_rows + of_columns)
        return self._outputs(inputs, gate, return_attention)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "bottleneck_channels": self.bottleneck_channels,
            "use_bias": self.use_bias,
        }
