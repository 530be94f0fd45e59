"""Attention that a trained network gets: it starts as the identity, by one trainable scalar."""

from __future__ import annotations

import inspect
from typing import Any

import keras
from keras import ops

from keras_attn.layers import attention_by_place, attention_form, attention_start
from keras_attn.layers._parts import LayerOfParts
from keras_attn.layers.contract import Start
from keras_attn.typing import Shape


@keras.saving.register_keras_serializable(package="keras_attn")
class InsertedAttention(LayerOfParts, keras.layers.Wrapper):
    """An attention that is the identity until it is trained; `insert_attention` makes them.

    One trainable scalar a, which starts at 0, says how much of the attention L there is. How it
    does depends on what a fresh L computes, as the layer's `starts_as` says:

    - `"gate"`: x + a (L(x) - x). For a gate g, L(x) = g x, that is x (1 + a (g - 1)). For BAM,
      L(x) = x + x M, it is x + a x M.
    - `"new_map"`: x + a L(x).
    - `"identity"`: L(x), with no a.

    A layer that doesn't say takes the first formula. A gate that is biased open could not do the
    same: where a sigmoid is exactly 1 in float32, its gradient is exactly 0. Here the first step
    trains a, and from the second on the layer's own weights have gradients.

    With a = 1 the first formula is the plain layer, and the layer computes just that where
    `fixed=1.0`.

    Args:
        layer: The attention, a layer that keeps the shape.
        fixed: `None` for the trainable a; a number is a constant a, and then there is no weight.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W).
        training: The layer's mode, where it has one.
        return_attention: Whether to return `(outputs, attention)`, where the layer can.

    Input shape:
        As the layer's.

    Output shape:
        As the input; the attention as the layer's.

    Raises:
        ValueError: If `fixed` is no number, the layer changes the shape, or has no attention to
            return.

    Example:

    >>> layer = InsertedAttention(keras_attn.layers.SqueezeExcite(4))
    >>> x = np.arange(24, dtype="float32").reshape((1, 2, 3, 4))
    >>> bool(np.all(layer(x) == x)), float(layer.a)
    (True, 0.0)
    """

    starts_as: Start = "identity"

    def __init__(
        self, layer: keras.layers.Layer, *, fixed: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(layer, **kwargs)
        if fixed is not None and (isinstance(fixed, bool) or not isinstance(fixed, (int, float))):
            raise ValueError(f"`fixed` must be a number or None. Received: fixed={fixed!r}")
        self.fixed = None if fixed is None else float(fixed)
        self.attention_form = attention_form(layer)
        self._start = attention_start(layer)
        self.a: Any = None

    def build(self, input_shape: Shape) -> None:
        """Builds the layer, and makes a."""
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        given = keras.KerasTensor(input_shape, self.compute_dtype)
        output_shape = tuple(self.layer.compute_output_spec(given).shape)
        if output_shape != tuple(input_shape):
            raise ValueError(
                "`layer` must keep the shape of its input: one of stride 1 with as many filters "
                f"as there are channels would. Received: {self.layer.name!r} "
                f"({type(self.layer).__name__}), which maps {tuple(input_shape)} to {output_shape}"
            )
        if self._start != "identity" and self.fixed is None:
            self.a = self.add_weight(name="a", shape=(), initializer="zeros", autocast=False)
        self.built = True

    def call(
        self, inputs: Any, training: bool | None = None, return_attention: bool = False
    ) -> Any:
        """Returns the attended map, or `(outputs, attention)`."""
        if return_attention:
            self._check_returns_attention()
            attended, attention = self.layer(inputs, training=training, return_attention=True)
        else:
            attended, attention = self.layer(inputs, training=training), None
        attended = ops.cast(attended, self.compute_dtype)
        outputs = self._mixed(inputs, attended)
        return (outputs, attention) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input."""
        return tuple(input_shape)

    def attention_by_place(
        self,
        attention: Any,
        output_shape: tuple[Any, ...],
        query: tuple[int, int] | None = None,
    ) -> Any:
        """As the layer's, whose output has the same shape."""
        return attention_by_place(self.layer, attention, output_shape, query)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """As the layer's."""
        self._check_returns_attention()
        return tuple(self.layer.compute_attention_shape(input_shape))

    def compute_output_spec(
        self, inputs: Any, training: bool | None = None, return_attention: bool = False
    ) -> Any:
        """The symbolic output, or `(output, attention)`."""
        output = keras.KerasTensor(inputs.shape, self.compute_dtype)
        if not return_attention:
            return output
        shape = self.compute_attention_shape(inputs.shape)
        return output, keras.KerasTensor(shape, self.layer.attention_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "fixed": self.fixed}

    def _mixed(self, x: Any, attended: Any) -> Any:
        if self._start == "identity":
            return attended
        if self.fixed == 1:
            return x + attended if self._start == "new_map" else attended
        a = self.a if self.fixed is None else self.fixed
        # In a's dtype: its gradient is a sum over all places, beyond what 16 bits hold.
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        x, attended = ops.cast(x, dtype), ops.cast(attended, dtype)
        mixed = x + a * (attended if self._start == "new_map" else attended - x)
        return ops.cast(mixed, self.compute_dtype)

    def _check_returns_attention(self) -> None:
        if "return_attention" not in inspect.signature(self.layer.call).parameters:
            raise ValueError(
                "`return_attention` needs a layer that has it. Received: return_attention=True "
                f"of {self.layer.name!r} ({type(self.layer).__name__})"
            )
