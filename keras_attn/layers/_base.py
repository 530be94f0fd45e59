"""What every attention layer shares: one image in, and the attention on request."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._parts import LayerOfParts
from keras_attn.layers._precision import WidePolicy
from keras_attn.layers._validation import check_channels, check_data_format
from keras_attn.layers.contract import Form, Start, usual_by_place
from keras_attn.typing import Shape


class AttentionLayer(LayerOfParts):
    """Base of the layers that take one image and can return their attention.

    A subclass gives `call(inputs, ..., return_attention=False)`, `compute_output_shape`,
    `compute_attention_shape`, and what the contract of `contract.py` asks for. From these comes
    the `compute_output_spec` that knows `return_attention`; without it Keras returns a single
    tensor in a functional model.

    Args:
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    attention_form: Form | None = None
    starts_as: Start = "gate"

    def __init__(self, *, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = check_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    @property
    def channel_axis(self) -> int:
        """The axis of the channels: 3 or 1."""
        return 3 if self.data_format == "channels_last" else 1

    @property
    def spatial_axes(self) -> tuple[int, int]:
        """The axes of the height and the width: (1, 2) or (2, 3)."""
        return (1, 2) if self.data_format == "channels_last" else (2, 3)

    @property
    def attention_dtype(self) -> str:
        """The dtype of softmax and gates: float32, or wider where the layer computes wider."""
        return str(keras.backend.result_type(self.compute_dtype, "float32"))

    @property
    def attention_policy(self) -> Any:
        """The dtype policy of parts that compute in `attention_dtype`.

        Their weights have the dtype that this layer's have, as `autocast=False` leaves them.
        """
        if keras.backend.result_type(self.variable_dtype, "float32") != self.variable_dtype:
            return WidePolicy(self.variable_dtype)
        return self.attention_dtype

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The shape of what `return_attention=True` returns beside the output."""
        raise ValueError(f"{type(self).__name__} has no attention to return.")

    def attention_by_place(
        self,
        attention: Any,
        output_shape: tuple[Any, ...],
        query: tuple[int, int] | None = None,
    ) -> Any:
        """The attention of each place, (B, h, w); see `keras_attn.layers.attention_by_place`."""
        form = self.attention_form
        if form is None:
            return None
        size = self._shown_size(output_shape)
        return usual_by_place(form, attention, size, query, channel_axis=self.channel_axis)

    def compute_output_spec(
        self,
        inputs: keras.KerasTensor,
        training: bool | None = None,
        return_attention: bool = False,
    ) -> Any:
        """The symbolic output, or `(output, attention)`."""
        output = keras.KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)
        if not return_attention:
            return output
        shape = self.compute_attention_shape(inputs.shape)
        return output, keras.KerasTensor(shape, self.attention_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "data_format": self.data_format}

    def _wide(self, x: Any) -> Any:
        """A tensor or a weight in `attention_dtype`."""
        return ops.cast(x, self.attention_dtype)

    def _to_last(self, x: Any) -> Any:
        """An image of this layer's data format as (B, H, W, C)."""
        return x if self.data_format == "channels_last" else ops.transpose(x, (0, 2, 3, 1))

    def _from_last(self, x: Any) -> Any:
        """An image (B, H, W, C) in this layer's data format."""
        return x if self.data_format == "channels_last" else ops.transpose(x, (0, 3, 1, 2))

    def _gated(self, inputs: Any, gate: Any) -> Any:
        """The inputs times a gate that is broadcast to them.

        The gate's gradient sums over what it was broadcast to: in 16 bits it would overflow.
        """
        wide = ops.multiply(ops.cast(inputs, gate.dtype), gate)
        return ops.cast(wide, self.compute_dtype)

    def _channels(self, input_shape: Shape) -> int:
        return check_channels(type(self).__name__, input_shape, self.data_format)

    def _spatial(self, input_shape: tuple[Any, ...]) -> tuple[Any, Any]:
        height, width = self.spatial_axes
        return input_shape[height], input_shape[width]

    def _shown_size(self, output_shape: tuple[Any, ...]) -> tuple[Any, Any]:
        """(h, w) of a map's keys, from the output's shape."""
        return self._spatial(output_shape)

    def _image_shape(
        self, batch: int | None, size: tuple[Any, ...], channels: int
    ) -> tuple[Any, ...]:
        """A shape (B, H, W, C) in this layer's data format."""
        if self.data_format == "channels_last":
            return (batch, *size, channels)
        return (batch, channels, *size)


class ProjectingAttentionLayer(AttentionLayer):
    """Base of the attention layers whose weights are kernels and biases of projections.

    Args:
        use_bias: Whether the projections have a bias.
        kernel_initializer: Initializer of the kernels; each kernel gets a clone.
        bias_initializer: Initializer of the biases.
        kernel_regularizer: Regularizer of the kernels.
        bias_regularizer: Regularizer of the biases.
        kernel_constraint: Constraint of the kernels.
        bias_constraint: Constraint of the biases.
        **kwargs: Arguments of `AttentionLayer`.
    """

    def __init__(
        self,
        *,
        use_bias: bool,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }

    def _add_kernel(self, name: str, shape: tuple[int, ...], autocast: bool = True) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=clone_initializer(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            autocast=autocast,
        )

    def _add_bias(self, name: str, size: int, autocast: bool = True) -> Any:
        return self.add_weight(
            name=name,
            shape=(size,),
            initializer=clone_initializer(self.bias_initializer),
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
            autocast=autocast,
        )


def clone_initializer(initializer: Any) -> Any:
    """A copy with a state of its own: one shared instance gives two kernels the same values."""
    return initializer.clone() if isinstance(initializer, keras.Initializer) else initializer
