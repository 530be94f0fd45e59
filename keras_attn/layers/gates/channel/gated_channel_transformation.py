"""Gated channel transformation (Yang et al., CVPR 2020)."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from keras_attn.layers._base import AttentionLayer
from keras_attn.layers._validation import check_choice
from keras_attn.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class GatedChannelTransformation(AttentionLayer):
    """GCT: channels compete by their norms over the map, each with three weights of its own.

    [Yang et al., "Gated Channel Transformation for Visual Recognition", CVPR 2020](
    https://arxiv.org/abs/1909.11519), equations 2 to 5, as the authors' `GCT`:

        s = alpha * sqrt(sum over places of x^2 + epsilon)           # (B, C)
        n = gamma * s / sqrt(mean over channels of s^2 + epsilon)
        y = x * (1 + tanh(n + beta))

    alpha starts at 1, gamma and beta at 0: a fresh layer is the identity. With `norm="l1"` both
    norms are sums, and means, of absolute values. All but the last product is computed in float32
    (or wider) under 16-bit policies.

    Args:
        norm: `"l2"` or `"l1"`, the authors' `mode`.
        epsilon: Positive float.
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
        ValueError: If `norm` is neither of the two, `epsilon` isn't positive, or C is unknown.

    Example:

    >>> layer = keras_attn.layers.GatedChannelTransformation()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, float(gate[0, 0, 0, 0]), layer.count_params()
    (TensorShape([2, 1, 1, 32]), 1.0, 96)
    """

    attention_form = "channel_gate"
    starts_as = "identity"

    def __init__(
        self,
        norm: Literal["l2", "l1"] = "l2",
        *,
        epsilon: float = 1e-5,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.norm = check_choice("norm", norm, ("l2", "l1"))
        if not epsilon > 0:
            raise ValueError(f"`epsilon` must be positive. Received: epsilon={epsilon!r}")
        self.epsilon = epsilon

    def build(self, input_shape: Shape) -> None:
        """Makes alpha, gamma and beta for C channels."""
        channels = self._channels(input_shape)
        self.alpha, self.gamma, self.beta = (
            self.add_weight(name=name, shape=(channels,), initializer=initializer, autocast=False)
            for name, initializer in (("alpha", "ones"), ("gamma", "zeros"), ("beta", "zeros"))
        )
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        x = self._wide(inputs)
        alpha, gamma, beta = map(self._wide, (self.alpha, self.gamma, self.beta))
        if self.norm == "l2":
            squares = ops.sum(ops.square(x), axis=self.spatial_axes)  # (B, C)
            embedded = alpha * ops.sqrt(squares + self.epsilon)
            common = ops.mean(ops.square(embedded), axis=1, keepdims=True)  # (B, 1)
            normalized = embedded / ops.sqrt(common + self.epsilon)
        else:
            embedded = alpha * ops.sum(ops.abs(x), axis=self.spatial_axes)
            common = ops.mean(ops.abs(embedded), axis=1, keepdims=True)
            normalized = embedded / (common + self.epsilon)
        gate = 1 + ops.tanh(gamma * normalized + beta)
        gate = ops.expand_dims(gate, self.spatial_axes)  # (B, 1, 1, C)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input."""
        return tuple(input_shape)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: (B, 1, 1, C)."""
        return self._image_shape(input_shape[0], (1, 1), self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "norm": self.norm, "epsilon": self.epsilon}
