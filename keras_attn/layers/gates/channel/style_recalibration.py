"""Style-based recalibration (Lee et al., ICCV 2019)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

EPSILON = 1e-5  # the authors'


@keras.saving.register_keras_serializable(package="keras_attn")
class StyleRecalibration(ComposedAttentionLayer):
    """SRM: each channel gated by its own mean and standard deviation, and by no other channel.

    [Lee et al., "SRM: A Style-based Recalibration Module for Convolutional Neural Networks", ICCV
    2019](https://arxiv.org/abs/1903.10829), equations 1 to 5, as the authors' `SRMLayer`:

        t = [mean over places of x; deviation over places of x]      # (B, C, 2)
        g = sigmoid(bn(sum of w * t))                                # (B, C)
        y = x * g

    w has two numbers for each channel, which start at 0: a fresh layer halves its map. The
    deviation is that of a sample, with H W - 1 below, as PyTorch's; of a single place it is 0,
    where PyTorch's is no number. All but the last product is computed in float32 (or wider) under
    16-bit policies.

    Args:
        kernel_initializer: Initializer of w.
        kernel_regularizer: Regularizer of w.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, gate)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the gate, float32, has shape (B, 1, 1, C).

    Raises:
        ValueError: If C is unknown.

    Example:

    >>> layer = keras_attn.layers.StyleRecalibration()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, float(gate[0, 0, 0, 0]), layer.count_params()
    (TensorShape([2, 1, 1, 32]), 0.5, 192)
    """

    attention_form = "channel_gate"

    def __init__(
        self,
        *,
        kernel_initializer: Initializer = "zeros",
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

    def build(self, input_shape: Shape) -> None:
        """Makes w and the BatchNormalization for C channels."""
        channels = self._channels(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(channels, 2),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            autocast=False,
        )
        options = {"data_format": "channels_last", "dtype": self.attention_policy}
        self.bn = built(self._batch_norm("bn", **options), (None, 1, 1, channels))
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        x = self._to_last(self._wide(inputs))
        mean = ops.mean(x, axis=(1, 2), keepdims=True)  # (B, 1, 1, C)
        squares = ops.sum(ops.square(x - mean), axis=(1, 2), keepdims=True)
        others = ops.maximum(ops.shape(x)[1] * ops.shape(x)[2] - 1, 1)
        deviation = ops.sqrt(squares / self._wide(others) + EPSILON)
        of_mean, of_deviation = ops.unstack(self._wide(self.kernel), axis=1)  # (C,) each
        styled = of_mean * mean + of_deviation * deviation
        gate = self._from_last(ops.sigmoid(self.bn(styled, training=training)))
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: (B, 1, 1, C)."""
        return self._image_shape(input_shape[0], (1, 1), self._channels(input_shape))
