"""Concurrent spatial and channel squeeze and excitation (Roy et al., MICCAI 2018)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_choice
from keras_attn.layers.contract import Form
from keras_attn.layers.gates.channel.squeeze_excite import SqueezeExcite
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

MODES = ("channel", "spatial", "both")
COMBINATIONS = {
    "add": ops.add,
    "max": ops.maximum,
    "multiply": ops.multiply,
}


@keras.saving.register_keras_serializable(package="keras_attn")
class SpatialChannelSqueezeExcite(ComposedAttentionLayer):
    """Squeeze and excitation over channels (cSE), over places (sSE), or over both (scSE).

    [Roy et al., "Concurrent Spatial and Channel Squeeze & Excitation in Fully Convolutional
    Networks", MICCAI 2018](https://arxiv.org/abs/1803.02579), equations 2 to 5, and for the
    combinations its journal version (IEEE TMI 2019):

        cSE: x_c = x * sigmoid(W2 relu(W1 mean(x) + b1) + b2)
        sSE: x_s = x * sigmoid(conv1x1(x))
        scSE: x_c + x_s, max(x_c, x_s), x_c * x_s, or both side by side

    cSE is `SqueezeExcite` with ratio 2. The gates are computed in float32 (or wider) under 16-bit
    policies. Fresh gates are near 1/2: cSE and sSE halve a map, their sum nearly keeps it.

    Args:
        ratio: Positive integer r of cSE.
        mode: `"channel"`, `"spatial"` or `"both"`.
        combine: `"add"`, `"max"`, `"multiply"` or `"concatenate"`, for the mode `"both"`.
        use_bias: Whether projections and convolution have biases.
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
        As the input, but 2 C channels for `combine="concatenate"`. The gate, float32, has shape
        (B, 1, 1, C) for cSE and (B, H, W, 1) for sSE. For both it has shape (B, H, W, C + 1): the
        channels' gate at every place, and the place's gate as the last channel.

    Raises:
        ValueError: Where an argument is out of its range, or `C // ratio` is 0.

    Example:

    >>> layer = keras_attn.layers.SpatialChannelSqueezeExcite()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> y.shape, gate.shape
    (TensorShape([2, 7, 5, 32]), TensorShape([2, 7, 5, 33]))
    """

    def __init__(
        self,
        ratio: int = 2,
        *,
        mode: str = "both",
        combine: str = "add",
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
        self.mode = check_choice("mode", mode, MODES)
        forms: dict[str, Form] = {"channel": "channel_gate", "spatial": "place_gate"}
        self.attention_form = forms.get(self.mode, "mask")  # of both: for each place and channel
        self.combine = check_choice("combine", combine, (*COMBINATIONS, "concatenate"))
        self.use_bias = use_bias

    def build(self, input_shape: Shape) -> None:
        """Makes the gates for C channels."""
        if self.mode != "spatial":
            gate = SqueezeExcite(
                self.ratio,
                use_bias=self.use_bias,
                data_format=self.data_format,
                name="channel",
                **self._kernel_arguments(),
            )
            self.channel_gate = built(gate, input_shape)
        if self.mode != "channel":
            gate = self._conv2d("spatial", 1, use_bias=self.use_bias, dtype=self.attention_policy)
            self.spatial_logit = built(gate, input_shape)
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        if self.mode == "channel":
            return self.channel_gate(inputs, return_attention=return_attention)
        gate = ops.sigmoid(self.spatial_logit(inputs))  # (B, H, W, 1)
        outputs = self._gated(inputs, gate)
        if self.mode == "both":
            by_channel, channel_gate = self.channel_gate(inputs, return_attention=True)
            both = ops.multiply(channel_gate, ops.ones_like(gate))  # (B, H, W, C)
            gate = ops.concatenate([both, gate], axis=self.channel_axis)
            if self.combine == "concatenate":
                outputs = ops.concatenate([by_channel, outputs], axis=self.channel_axis)
            else:
                outputs = COMBINATIONS[self.combine](by_channel, outputs)
        return (outputs, gate) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input, or with 2 C channels."""
        channels = self._channels(input_shape)
        if self.mode == "both" and self.combine == "concatenate":
            channels *= 2
        return self._image_shape(input_shape[0], self._spatial(input_shape), channels)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's, see the class."""
        channels = self._channels(input_shape)
        if self.mode == "channel":
            return self._image_shape(input_shape[0], (1, 1), channels)
        gates = 1 if self.mode == "spatial" else channels + 1
        return self._image_shape(input_shape[0], self._spatial(input_shape), gates)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "mode": self.mode,
            "combine": self.combine,
            "use_bias": self.use_bias,
        }
