"""What the layers share that gate a place by its row's and its column's means."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.typing import Shape, Tensor


class StripGate(ComposedAttentionLayer):
    """Base of the layers whose gate is of the image's shape and comes from its strips' means."""

    attention_form = "mask"

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: as the input's."""
        return tuple(input_shape)

    def _means(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Of the rows, (B, H, C), and of the columns, (B, W, C), in both data formats."""
        x = self._wide(inputs)
        height_axis, width_axis = self.spatial_axes
        rows, columns = ops.mean(x, axis=width_axis), ops.mean(x, axis=height_axis)
        if self.data_format == "channels_first":
            rows, columns = ops.transpose(rows, (0, 2, 1)), ops.transpose(columns, (0, 2, 1))
        return rows, columns

    def _depthwise(
        self, name: str, channels: int, kernel_size: int, use_bias: bool
    ) -> keras.layers.DepthwiseConv1D:
        """A kernel for each channel, along a strip (B, L, C)."""
        kernel = self._kernel_arguments()
        layer = keras.layers.DepthwiseConv1D(
            kernel_size,
            padding="same",
            data_format="channels_last",
            use_bias=use_bias,
            depthwise_initializer=kernel["kernel_initializer"],
            depthwise_regularizer=kernel["kernel_regularizer"],
            dtype=self.attention_policy,
            name=name,
        )
        return built(layer, (None, None, channels))

    def _outputs(self, inputs: Tensor, gate: Tensor, return_attention: bool) -> Any:
        """The map times a gate (B, H, W, C), or `(outputs, gate)`."""
        gate = self._from_last(gate)
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs
