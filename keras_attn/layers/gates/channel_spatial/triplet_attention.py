"""Triplet attention (Misra et al., WACV 2021)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_odd
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers.gates.channel_spatial.cbam import pool_channels
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class TripletAttention(ComposedAttentionLayer):
    """Triplet attention: a gate for each pair of height, width and channels; their mean acts.

    [Misra et al., "Rotate to Attend: Convolutional Triplet Attention Module", WACV 2021](
    https://arxiv.org/abs/2010.03045), equations 2 and 3, as the authors' `triplet_attention.py`:

        gate_d = sigmoid(bn(conv7x7([max over d of x; mean over d of x])))  # d: H, W or C
        y      = x * (gate_H + gate_W + gate_C) / 3

    Each gate is 1 along its own axis d, and its convolution slides over the other two, the channels
    among them. It has 2 k^2 + 2 trainable weights, 300 for all three, whatever C is. All but the
    output is computed in float32 (or wider) under 16-bit policies.

    Args:
        kernel_size: Positive odd integer, the side of the convolutions' kernels.
        use_spatial: Whether there is the gate over H and W. Without it the mean is that of two:
            the authors' `no_spatial`.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, gate)`, the gate being the mean of the three.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the gate, float32, likewise.

    Raises:
        ValueError: If `kernel_size` is no positive odd integer, or C is unknown.

    Example:

    >>> layer = keras_attn.layers.TripletAttention()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    (TensorShape([2, 7, 5, 32]), 300)
    """

    attention_form = "mask"

    def __init__(
        self,
        kernel_size: int = 7,
        *,
        use_spatial: bool = True,
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
        self.use_spatial = use_spatial

    def build(self, input_shape: Shape) -> None:
        """Makes a convolution for each gate, whose size doesn't depend on C."""
        self._channels(input_shape)
        # The gates' maps are laid out as (B, side, side, 1) in both data formats.
        exact = {"data_format": "channels_last", "dtype": self.attention_policy}
        planes = ["channel_width", "height_channel", "height_width"]
        self.convs, self.bns = [], []
        for plane in planes[: 3 if self.use_spatial else 2]:
            convolution = self._conv2d(
                f"{plane}_conv", 1, self.kernel_size, padding="same", use_bias=False, **exact
            )
            batch_norm = self._batch_norm(f"{plane}_bn", momentum=0.99, **exact)
            self.convs.append(built(convolution, (None, None, None, 2)))
            self.bns.append(built(batch_norm, (None, None, None, 1)))
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        x = self._to_last(self._wide(inputs))  # (B, H, W, C)
        # Two images each, as the channels of a map over the plane: (B, side, side, 2).
        pooled = [
            ops.transpose(pool_channels(x, "max_mean", 1), (0, 3, 2, 1)),  # (B, C, W, 2)
            ops.transpose(pool_channels(x, "max_mean", 2), (0, 1, 3, 2)),  # (B, H, C, 2)
            pool_channels(x, "max_mean", 3),  # (B, H, W, 2)
        ]
        gates = [
            ops.sigmoid(bn(conv(plane), training=training))
            for plane, conv, bn in zip(pooled, self.convs, self.bns, strict=False)
        ]
        gates[0] = ops.transpose(gates[0], (0, 3, 2, 1))  # (B, 1, W, C)
        gates[1] = ops.transpose(gates[1], (0, 1, 3, 2))  # (B, H, 1, C)
        gate = self._from_last(sum(gates[1:], start=gates[0]) / len(gates))  # (B, H, W, C)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: as the input's."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "use_spatial": self.use_spatial,
        }
