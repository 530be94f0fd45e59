"""DANet's channel attention (Fu et al., CVPR 2019)."""

from __future__ import annotations

import keras
from keras import ops

from keras_attn.layers._base import AttentionLayer
from keras_attn.layers.self_attention._softmax import softmax_places
from keras_attn.typing import Shape, Tensor


def channel_weights(x: Tensor) -> Tensor:
    """The softmax of the negative products of channels, (B, M, C) -> (B, C, C).

    The authors' code takes it of (greatest product of the row) - product: the same weights.
    """
    products = ops.matmul(ops.transpose(x, (0, 2, 1)), x)
    return softmax_places(ops.negative(products))


@keras.saving.register_keras_serializable(package="keras_attn")
class ChannelAttention(AttentionLayer):
    """DANet's channel attention: each channel plus a weighted sum over all channels.

    [Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019](
    https://arxiv.org/abs/1809.02983), equations 3 and 4, as the authors' `CAM_Module`. With x_c a
    channel's H W values:

        a_cd = softmax_d(-x_c . x_d)
        y_c  = gamma sum_d a_cd x_d + x_c

    The paper has the softmax of x_c . x_d; the authors' code that of its negative, by which each
    channel looks for those that are unlike it, and so does this layer. gamma is one number that
    starts at 0: a fresh layer is the identity. There is no other weight. It isn't CBAM's channel
    attention, see `ChannelGate`. All but the output is computed in float32 (or wider) under 16-bit
    policies.

    Args:
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the attention, float32, has shape (B, C, C): the channel that is made, and
        those that it is made of.

    Raises:
        ValueError: If C is unknown.

    Example:

    >>> layer = keras_attn.layers.ChannelAttention()
    >>> y, attention = layer(np.ones((2, 4, 6, 32), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([2, 4, 6, 32]), TensorShape([2, 32, 32]))
    """

    attention_form = "channel_gate"
    starts_as = "identity"

    def build(self, input_shape: Shape) -> None:
        """Makes gamma."""
        self._channels(input_shape)
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros", autocast=False)
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the input plus what its channels gathered, or `(outputs, attention)`."""
        x = self._to_last(self._wide(inputs))
        _, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (-1, height * width, channels))  # (B, M, C)
        attention = channel_weights(x)  # (B, C, C)
        gathered = ops.matmul(x, ops.transpose(attention, (0, 2, 1)))
        outputs = self._wide(self.gamma) * gathered + x
        outputs = ops.reshape(outputs, (-1, height, width, channels))
        outputs = ops.cast(self._from_last(outputs), self.compute_dtype)
        return (outputs, attention) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input."""
        return tuple(input_shape)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, C, C)."""
        channels = self._channels(input_shape)
        return (input_shape[0], channels, channels)
