"""Efficient Channel Attention (Wang et al., CVPR 2020)."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_odd
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_choice
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

    Zeros stand beyond the first and the last channel, or the channels of the other end: timm's
    `CecaModule`, circular ECA, is `EfficientChannelAttention(padding="circular")`. The gate is
    computed in float32 (or wider) under 16-bit policies. A fresh layer halves its map, as
    `SqueezeExcite` does.

    Args:
        kernel_size: Positive odd integer k; `None` takes the paper's rule: 3 below 128 channels,
            5 below 2048, then 7.
        padding: `"zeros"` or `"circular"`, what stands beyond the first and the last channel.
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
        ValueError: If `kernel_size` is no positive odd integer, `padding` isn't one of the two, or
            C is less than the k // 2 channels that circular padding takes of it.

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
        padding: str = "zeros",
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
        self.padding = check_choice("padding", padding, ("zeros", "circular"))

    def build(self, input_shape: Shape) -> None:
        """Makes the kernel; its size follows from C."""
        channels = self._channels(input_shape)
        size = self.kernel_size or channel_kernel_size(channels)
        self.beyond = size // 2 if self.padding == "circular" else 0
        if self.beyond > channels:
            raise ValueError(
                "`kernel_size // 2` must be at most the number of input channels where `padding` "
                f"is 'circular'. Received: kernel_size={size}, input_shape={tuple(input_shape)}"
            )
        convolution = keras.layers.Conv1D(
            1,
            size,
            padding="valid" if self.padding == "circular" else "same",
            use_bias=False,
            data_format="channels_last",
            name="conv",
            **{**self._kernel_arguments(), "dtype": self.attention_policy},
        )
        self.conv = built(convolution, (None, channels + 2 * self.beyond, 1))
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        pooled = squeeze(ops.cast(inputs, self.attention_dtype), "average", self.spatial_axes)
        if self.beyond:
            ends = [pooled[:, -self.beyond :], pooled, pooled[:, : self.beyond]]
            pooled = ops.concatenate(ends, axis=1)  # (B, C + k - 1)
        gate = ops.sigmoid(self.conv(pooled[..., None]))[..., 0]  # (B, C)
        gate = ops.expand_dims(gate, self.spatial_axes)  # (B, 1, 1, C)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: (B, 1, 1, C)."""
        return self._image_shape(input_shape[0], (1, 1), self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "padding": self.padding,
        }
