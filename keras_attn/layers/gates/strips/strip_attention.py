"""timm's strip attention."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_odd
from keras_attn.layers.gates.strips._strips import StripGate
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class StripAttention(StripGate):
    """Each place gated by its row's and its column's means, short convolutions: timm's own.

    timm's `StripAttn` is in no paper; its pools are those of [Hou et al., "Coordinate Attention
    for Efficient Mobile Network Design", CVPR 2021](https://arxiv.org/abs/2103.02907):

        y = x * sigmoid(depthwise_h(mean over W of x) + depthwise_w(mean over H of x))

    All but the last product is computed in float32 (or wider) under 16-bit policies. A fresh layer
    about halves its map.

    Args:
        kernel_size: Positive odd integer, the length of the kernels; `None` has no convolutions,
            and so no weights.
        use_bias: Whether the convolutions have biases.
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
        ValueError: If `kernel_size` is neither `None` nor odd.

    Example:

    >>> layer = keras_attn.layers.StripAttention()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, layer.count_params()
    (TensorShape([2, 7, 5, 32]), 192)
    """

    def __init__(
        self,
        kernel_size: int | None = 3,
        *,
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
        self.kernel_size = None if kernel_size is None else check_odd("kernel_size", kernel_size)
        self.use_bias = use_bias

    def build(self, input_shape: Shape) -> None:
        """Makes a convolution of each direction."""
        channels = self._channels(input_shape)
        if self.kernel_size is not None:
            self.rows, self.columns = (
                self._depthwise(direction, channels, self.kernel_size, self.use_bias)
                for direction in ("rows", "columns")
            )
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        rows, columns = self._means(inputs)
        if self.kernel_size is not None:
            rows, columns = self.rows(rows), self.columns(columns)
        gate = ops.sigmoid(rows[:, :, None] + columns[:, None])  # (B, H, W, C)
        return self._outputs(inputs, gate, return_attention)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
        }
