"""SimAM, attention without weights (Yang et al., ICML 2021)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._base import AttentionLayer
from keras_attn.typing import Shape, Tensor


def neuron_importance(x: Tensor, regularization: float, spatial_axes: tuple[int, int]) -> Tensor:
    """1 / e_t of equation 5: how far each value stands out of its channel, from 1/2 on.

    Args:
        x: Tensor of shape (B, H, W, C).
        regularization: The paper's lambda.
        spatial_axes: The axes of H and W.

    Returns:
        Tensor of x's shape.
    """
    deviation = ops.square(x - ops.mean(x, axis=spatial_axes, keepdims=True))
    height, width = (ops.shape(x)[axis] for axis in spatial_axes)
    # On a map of one place all deviations are 0, and so is the variance.
    others = ops.cast(ops.maximum(height * width - 1, 1), x.dtype)
    variance = ops.sum(deviation, axis=spatial_axes, keepdims=True) / others
    return deviation / (4 * (variance + regularization)) + 0.5


@keras.saving.register_keras_serializable(package="keras_attn")
class SimAM(AttentionLayer):
    """SimAM: each value is gated by how far it stands out of its channel. It has no weights.

    [Yang et al., "SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural
    Networks", ICML 2021](https://proceedings.mlr.press/v139/yang21o.html), equations 5 and 6, as in
    the authors' `simam_module.py`:

        v = sum over places of (x - mean(x))^2 / (H W - 1)    # (B, 1, 1, C)
        m = sigmoid((x - mean(x))^2 / (4 (v + lambda)) + 1/2)   # (B, H, W, C)
        y = m * x

    The paper divides the variance by H W, the authors' code by H W - 1, which is done here.
    The gate is computed in float32 (or wider) under 16-bit policies. It is at least
    sigmoid(1/2) = 0.62.

    Args:
        regularization: Positive float, the paper's lambda.
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
        ValueError: If `regularization` isn't positive.

    Example:

    >>> layer = keras_attn.layers.SimAM()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, round(float(gate[0, 0, 0, 0]), 2), layer.count_params()
    (TensorShape([2, 7, 5, 32]), 0.62, 0)
    """

    attention_form = "mask"

    def __init__(
        self, *, regularization: float = 1e-4, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if not regularization > 0:
            raise ValueError(
                f"`regularization` must be positive. Received: regularization={regularization!r}"
            )
        self.regularization = regularization

    def build(self, input_shape: Shape) -> None:
        """Checks that the channels are known."""
        self._channels(input_shape)
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        importance = neuron_importance(self._wide(inputs), self.regularization, self.spatial_axes)
        gate = ops.sigmoid(importance)  # (B, H, W, C)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input."""
        return tuple(input_shape)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: as the input's."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "regularization": self.regularization}
