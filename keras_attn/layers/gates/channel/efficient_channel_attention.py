"""Efficient Channel Attention (Wang et al., CVPR 2020)."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_odd
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers.gates.channel.squeeze_excite import squeeze
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


def channel_kernel_size(channels: int) -> int:
    """The paper's equation 12 with gamma 2 and b 1: how many channels decide on one gate.

    k is floor(|log2(C) + 1| / 2), made odd by adding 1, and at least 3 (the authors' and timm's
    code; it matters below 8 channels).
    """
    size = int(abs(math.log2(channels) + 1) / 2)
    return max(size if size % 2 else size + 1, 3)


@keras.saving.register_keras_serializable(package="keras_attn")
class EfficientChannelAttention(ComposedAttentionLayer):
    """Efficient Channel Attention: each channel's gate from its neighbours' means.

    [Wang et al., "ECA-Net", CVPR 2020](https://arxiv.org/abs/1910.03151), equations 9 and 12:

        z = mean(x)                 # (B, C)
        s = sigmoid(conv_k(z))      # one kernel of k values slides over the channels, no bias
        y = s * x

    Zeros stand beyond the first and the last channel. The gate is computed in float32 (or wider)
    under 16-bit policies. A fresh layer halves its map, as `SqueezeExcite` does.

    Args:
        kernel_size: Positive odd integer k; `None` takes the paper's rule: 3 below 128 channels,
            5 below 2048, then 7.
        kernel_initializer: Initializer of the kernel.
        kernel_regularizer: Regularizer of the kernel.
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
        ValueError: If `kernel_size` is no positive odd integer.

    Example:

    >>> layer = keras_attn.layers.EfficientChannelAttention()
    >>> y, gate = layer(np.ones((2, 7, 5, 256), "float32"), return_attention=True)
    >>> gate.shape, layer.count_params()
    (TensorShape([2, 1, 1, 256]), 5)
    """

    attention_form = "channel_gate"

    def __init__(
        self,
        kernel_size: int | None = None,
        *,
        kernel_initializer: Initializer = "glorot_uniform",
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

    def build(self, input_shape: Shape) -> None:
        """Makes the kernel; its size follows from C."""
        channels = self._channels(input_shape)
        convolution = keras.layers.Conv1D(
            1,
            self.kernel_size or channel_kernel_size(channels),
            padding="same",
            use_bias=False,
            data_format="channels_last",
            name="conv",
            **{**self._kernel_arguments(), "dtype": self.attention_policy},
        )
        self.conv = built(convolution, (None, channels, 1))
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        pooled = squeeze(ops.cast(inputs, self.attention_dtype), "average", self.spatial_axes)
        gate = ops.sigmoid(self.conv(pooled[..., None]))[..., 0]  # (B, C)
        gate = ops.expand_dims(gate, self.spatial_axes)  # (B, 1, 1, C)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: (B, 1, 1, C)."""
        return self._image_shape(input_shape[0], (1, 1), self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "kernel_size": self.kernel_size}
