"""Polarized self-attention (Liu et al., 2021)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_choice
from keras_attn.layers.self_attention._softmax import softmax_places
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

MODES = ("parallel", "sequential")
RATIO = 8  # C by the width inside the sequential form's channel branch


@keras.saving.register_keras_serializable(package="keras_attn")
class PolarizedSelfAttention(ComposedAttentionLayer):
    """Polarized self-attention: a channel gate and a spatial one, each full in its own dimension.

    [Liu et al., "Polarized Self-Attention: Towards High-quality Pixel-wise Regression", 2021](
    https://arxiv.org/abs/2107.00782), as the authors' `PSA_p` and `PSA_s`. Pools are over places:

        c   = sum over places i of softmax_i(w_q x_i) W_v x_i     # (B, C / 2)
        A_c = sigmoid(F(c))                                       # (B, C)
        s_i = mean(W_g x) . W_t x_i                               # (B, H W)
        A_s = sigmoid(softmax_i(s))                                # (B, H W, 1)

        parallel:    y = A_c * x + A_s * x,              F(c) = W_u c
        sequential:  y = A_s(x') * x',  x' = A_c(x) * x,   F(c) = W2 relu(ln(W1 c + b1)) + b2,
                     and there s_i = mean(W_g x') . softmax_i(W_t x')

    The paper writes other softmaxes: over the channels of the mean of W_g x. In its spatial branch
    the authors' code takes them over the places, at the two spots above, and so does this layer.
    W_v and W_g are applied behind their pools, which gives the same numbers for less work. All but
    the output is computed in float32 (or wider) under 16-bit policies.

    Args:
        mode: `"parallel"` or `"sequential"`.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, gate)`, the gate being the sum of both in
            parallel, and else their product.

    Input shape:
        (B, H, W, C), any H and W; C is at least 2, and 8 in sequence.

    Output shape:
        As the input; the gate, float32, likewise.

    Raises:
        ValueError: If `mode` isn't one of the two, or there are too few channels.

    Example:

    >>> layer = keras_attn.layers.PolarizedSelfAttention()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, layer.count_params()
    (TensorShape([2, 7, 5, 32]), 2080)
    """

    attention_form = "mask"

    def __init__(
        self,
        mode: str = "parallel",
        *,
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
        self.mode = check_choice("mode", mode, MODES)

    def build(self, input_shape: Shape) -> None:
        """Makes both branches for C channels."""
        channels = self._channels(input_shape)
        least = 2 if self.mode == "parallel" else RATIO
        if channels < least:
            raise ValueError(
                f"The number of input channels must be at least {least} where mode={self.mode!r}. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        half = channels // 2
        exact = {"dtype": self.attention_policy}

        def dense(name: str, inputs: int, units: int, use_bias: bool = False) -> Any:
            return built(self._dense(name, units, use_bias=use_bias, **exact), (None, inputs))

        self.channel_query = dense("channel_query", channels, 1)
        self.channel_value = dense("channel_value", channels, half)
        self.spatial_query = dense("spatial_query", channels, half)
        self.spatial_value = dense("spatial_value", channels, half)
        if self.mode == "parallel":
            self.expand = dense("expand", half, channels)
        else:
            width = channels // RATIO
            norm = keras.layers.LayerNormalization(epsilon=1e-5, name="ln", **exact)
            self.reduce = dense("reduce", half, width, use_bias=True)
            self.ln = built(norm, (None, width))
            self.expand = dense("expand", width, channels, use_bias=True)
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        x = self._to_last(self._wide(inputs))
        _, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (-1, height * width, channels))  # (B, H W, C)
        channel_gate = self._channel_gate(x)[:, None]  # (B, 1, C)
        if self.mode == "parallel":
            gate = channel_gate + self._spatial_gate(x)  # (B, H W, C)
        else:
            gate = channel_gate * self._spatial_gate(x * channel_gate)
        gate = self._from_last(ops.reshape(gate, (-1, height, width, channels)))
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: as the input's."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "mode": self.mode}

    def _channel_gate(self, x: Tensor) -> Tensor:
        """(B, H W, C) -> (B, C)."""
        weights = softmax_places(self.channel_query(x)[..., 0])  # (B, H W)
        pooled = ops.sum(weights[..., None] * x, axis=1)
        context = self.channel_value(pooled)  # (B, C / 2)
        if self.mode == "sequential":
            context = ops.relu(self.ln(self.reduce(context)))
        return ops.sigmoid(self.expand(context))

    def _spatial_gate(self, x: Tensor) -> Tensor:
        """(B, H W, C) -> (B, H W, 1)."""
        query = self.spatial_query(ops.mean(x, axis=1))[:, None]  # (B, 1, C / 2)
        values = ops.transpose(self.spatial_value(x), (0, 2, 1))  # (B, C / 2, H W)
        if self.mode == "sequential":
            logits = ops.matmul(query, softmax_places(values))
        else:
            logits = softmax_places(ops.matmul(query, values))
        return ops.transpose(ops.sigmoid(logits), (0, 2, 1))
