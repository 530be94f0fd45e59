"""Effective Squeeze-and-Excitation (Lee and Park, CVPR 2020)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers.gates.channel.squeeze_excite import squeeze
from keras_attn.typing import Activation, Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class EffectiveSE(ComposedAttentionLayer):
    """Effective Squeeze-and-Excitation: one projection without a bottleneck makes the gates.

    [Lee and Park, "CenterMask: Real-Time Anchor-Free Instance Segmentation", CVPR 2020](
    https://arxiv.org/abs/1911.06667), equations 3 and 4, the attention of VoVNetV2:

        z = mean(x)                      # (B, C)
        s = hard_sigmoid(W z + b)        # (B, C)
        y = s * x                        # (B, H, W, C)

    The paper writes a sigmoid; the authors' networks and timm's `EffectiveSEModule` have
    relu6(x + 3) / 6, which is the default here. The gate is computed in float32 (or wider) under
    16-bit policies. A fresh layer halves its map, as `SqueezeExcite` does.

    Args:
        gate_activation: Activation that makes the gate.
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
        ValueError: If there is no such activation, or C is unknown.

    Example:

    >>> layer = keras_attn.layers.EffectiveSE()
    >>> y, gate = layer(np.ones((2, 7, 5, 32), "float32"), return_attention=True)
    >>> gate.shape, layer.count_params()
    (TensorShape([2, 1, 1, 32]), 1056)
    """

    attention_form = "channel_gate"

    def __init__(
        self,
        *,
        gate_activation: Activation = "hard_sigmoid",
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
        self.gate_activation = keras.activations.get(gate_activation)

    def build(self, input_shape: Shape) -> None:
        """Makes the projection for C channels."""
        channels = self._channels(input_shape)
        project = self._dense("project", channels, dtype=self.attention_policy)
        self.project = built(project, (None, channels))
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        pooled = squeeze(self._wide(inputs), "average", self.spatial_axes)  # (B, C)
        gate = self.gate_activation(self.project(pooled))
        gate = ops.expand_dims(gate, self.spatial_axes)  # (B, 1, 1, C)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: (B, 1, 1, C)."""
        return self._image_shape(input_shape[0], (1, 1), self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        gate_activation = keras.activations.serialize(self.gate_activation)
        return {**super().get_config(), "gate_activation": gate_activation}
