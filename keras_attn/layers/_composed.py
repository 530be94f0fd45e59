"""What the attention layers share that are composed of Keras's own layers."""

from __future__ import annotations

from typing import Any, TypeVar

import keras

from keras_attn.layers._base import AttentionLayer, clone_initializer
from keras_attn.layers.building_blocks.batch_normalization import BatchNormalization
from keras_attn.layers.building_blocks.grouped_conv2d import GroupedConv2D
from keras_attn.layers.residual_attention.residual_units import batch_norm
from keras_attn.typing import Initializer, Regularizer, Shape

LayerT = TypeVar("LayerT", bound=keras.layers.Layer)


class ComposedAttentionLayer(AttentionLayer):
    """Base of the attention layers made of Keras's convolutions, dense layers and normalizations.

    Its helpers make these parts in the layer's data format, each kernel with a clone of the
    initializer. `dtype=self.attention_policy` has a part compute in float32 under 16-bit
    policies.

    Args:
        kernel_initializer: Initializer of the kernels; each kernel gets a clone.
        kernel_regularizer: Regularizer of the kernels.
        **kwargs: Arguments of `AttentionLayer`.
    """

    def __init__(
        self,
        *,
        kernel_initializer: Initializer,
        kernel_regularizer: Regularizer = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input, which most of these layers keep."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }

    def _conv2d(
        self, name: str, filters: int, kernel_size: int | tuple[int, int] = 1, **kwargs: Any
    ) -> keras.layers.Conv2D:
        layer = GroupedConv2D if "groups" in kwargs else keras.layers.Conv2D
        return layer(
            filters,
            kernel_size,
            **{"data_format": self.data_format, "name": name, **self._kernel_arguments(), **kwargs},
        )

    def _dense(self, name: str, units: int, **kwargs: Any) -> keras.layers.Dense:
        return keras.layers.Dense(units, **{"name": name, **self._kernel_arguments(), **kwargs})

    def _batch_norm(self, name: str, **kwargs: Any) -> BatchNormalization:
        """Over the channels of an image in the layer's data format."""
        return batch_norm(name, **{"data_format": self.data_format, **self._dtype(), **kwargs})

    def _kernel_arguments(self) -> dict[str, Any]:
        return {
            "kernel_initializer": clone_initializer(self.kernel_initializer),
            "kernel_regularizer": self.kernel_regularizer,
            **self._dtype(),
        }

    def _dtype(self) -> dict[str, Any]:
        return {"dtype": self.dtype_policy}


def built(layer: LayerT, input_shape: Shape) -> LayerT:
    """Builds a part and returns it."""
    layer.build(input_shape)
    return layer
