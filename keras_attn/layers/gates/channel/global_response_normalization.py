"""Global Response Normalization (Woo et al., CVPR 2023)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._base import AttentionLayer
from keras_attn.typing import Shape, Tensor

TINY = 1e-30


def global_response(
    x: Tensor, epsilon: float, spatial_axes: tuple[int, int], channel_axis: int
) -> Tensor:
    """Each channel's norm over the places by the channels' mean norm.

    Args:
        x: Tensor of shape (B, H, W, C).
        epsilon: Small number that is added to the mean norm.
        spatial_axes: The axes of H and W.
        channel_axis: The axis of C.

    Returns:
        Tensor of shape (B, 1, 1, C).
    """
    squares = ops.sum(ops.square(x), axis=spatial_axes, keepdims=True)
    # The root's gradient at 0 is infinite: there, the norm has none, as in PyTorch.
    norm = ops.sqrt(ops.maximum(squares, TINY))
    return norm / (ops.mean(norm, axis=channel_axis, keepdims=True) + epsilon)


@keras.saving.register_keras_serializable(package="keras_attn")
class GlobalResponseNormalization(AttentionLayer):
    """Global Response Normalization: channels compete by their norms over the whole map.

    [Woo et al., "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders", CVPR
    2023](https://arxiv.org/abs/2301.00808), algorithm 1, as the authors' and timm's code:

        g = norm over places of x          # (B, 1, 1, C)
        n = g / (mean over channels of g + epsilon)
        y = gamma * (x * n) + beta + x

    gamma and beta, a number for each channel, start at 0: a fresh layer is the identity. What is
    returned as attention is 1 + gamma n, by which each channel is multiplied before beta is
    added. All but the output is computed in float32 (or wider) under 16-bit policies.

    Args:
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
        ValueError: If `epsilon` isn't positive, or C is unknown.

    Example:

    >>> layer = keras_attn.layers.GlobalResponseNormalization()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, float(gate[0, 0, 0, 0]), layer.count_params()
    (TensorShape([2, 1, 1, 32]), 1.0, 64)
    """

    attention_form = "channel_gate"
    starts_as = "identity"

    def __init__(
        self, *, epsilon: float = 1e-6, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if not epsilon > 0:
            raise ValueError(f"`epsilon` must be positive. Received: epsilon={epsilon!r}")
        self.epsilon = epsilon

    def build(self, input_shape: Shape) -> None:
        """Makes gamma and beta for C channels."""
        channels = self._channels(input_shape)
        self.gamma, self.beta = (
            self.add_weight(name=name, shape=(channels,), initializer="zeros", autocast=False)
            for name in ("gamma", "beta")
        )
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the normalized map, or `(outputs, gate)`."""
        x = self._wide(inputs)
        response = global_response(x, self.epsilon, self.spatial_axes, self.channel_axis)
        gamma, beta = (
            ops.reshape(self._wide(weight), self._image_shape(1, (1, 1), -1))
            for weight in (self.gamma, self.beta)
        )
        gate = 1 + gamma * response  # (B, 1, 1, C)
        outputs = ops.cast(x * gate + beta, self.compute_dtype)
        return (outputs, gate) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input."""
        return tuple(input_shape)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: (B, 1, 1, C)."""
        return self._image_shape(input_shape[0], (1, 1), self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}
