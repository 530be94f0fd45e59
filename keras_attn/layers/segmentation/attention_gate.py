"""The gate of Lin et al., GRSL 2017: a deep network says where a shallow one is believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_non_negative_int
from keras_attn.layers._base import AttentionLayer
from keras_attn.layers._validation import check_choice
from keras_attn.layers.building_blocks.resize import resize_bilinear
from keras_attn.typing import Shape, Tensor

MODES = ("hard", "soft")


@keras.saving.register_keras_serializable(package="keras_attn")
class AttentionGate(AttentionLayer):
    """Lets a fine map through where a coarse one gives certain classes.

    Lin, Shi and Zou, "Fully Convolutional Network With Task Partitioning for Inshore Ship
    Detection in Optical Remote Sensing Images", IEEE GRSL 2017, whose abstract alone is public: the
    equations are our reading of it. The coarse probabilities D are resized to the fine map,
    bilinear with half-pixel centres, then

        m = 1 where argmax D is one of the classes, and else 0      (hard)
        m = the sum of the classes' D                               (soft)
        y = x m

    `GatedCrossentropy` takes m beside the labels, so that the fine network learns at those places
    alone. m is float32 (or wider) under 16-bit policies.

    Args:
        classes: The class that opens the gate, or several.
        mode: `"hard"` or `"soft"`.
        stop_gradient: Whether a soft gate keeps gradients from the coarse map; a hard one has none.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), the fine map, or (B, C, H, W) if `channels_first`.
        coarse: Tensor of shape (B, h, w, K), probabilities, or (B, K, h, w).
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W; and (B, h, w, K), any h and w.

    Output shape:
        As the fine map; the attention, float32, has shape (B, H, W, 1).

    Raises:
        ValueError: If `classes` aren't numbers of the coarse map's classes, or `mode` is neither.

    Example:

    >>> coarse = np.array([[[[0.9, 0.1], [0.2, 0.8]]]], "float32")  # (1, 1, 2, 2)
    >>> gate = keras_attn.layers.AttentionGate(1)
    >>> print(keras.ops.convert_to_numpy(gate(np.ones((1, 1, 4, 1)), coarse))[0, 0, :, 0])
    [0. 0. 1. 1.]
    """

    attention_form = "place_gate"

    def __init__(
        self,
        classes: int | Sequence[int],
        mode: str = "hard",
        *,
        stop_gradient: bool = True,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.input_spec = None
        given = list(classes) if isinstance(classes, list | tuple) else [classes]
        self.classes = [check_non_negative_int("classes", number) for number in given]
        if not self.classes:
            raise ValueError(f"`classes` must hold a class. Received: classes={classes}")
        self.mode = check_choice("mode", mode, MODES)
        self.stop_gradient = stop_gradient

    def build(self, inputs_shape: Shape, coarse_shape: Shape) -> None:
        """Checks the shapes; there are no weights."""
        self._check(inputs_shape, coarse_shape)
        self.built = True

    def call(self, inputs: Tensor, coarse: Tensor, return_attention: bool = False) -> Any:
        """Returns the gated map, or `(outputs, attention)`."""
        size = self._spatial(ops.shape(inputs))
        resized = resize_bilinear(self._wide(coarse), size, False, self.data_format)
        by_class = self._to_last(resized)  # (B, H, W, K)
        is_open = [number in self.classes for number in range(by_class.shape[-1])]
        if self.mode == "hard":
            chosen = ops.one_hot(ops.argmax(by_class, -1), len(is_open), dtype=by_class.dtype)
        else:
            chosen = ops.stop_gradient(by_class) if self.stop_gradient else by_class
        opens = ops.convert_to_tensor(is_open, dtype=by_class.dtype)
        gate = self._from_last(ops.sum(chosen * opens, axis=-1, keepdims=True))
        outputs = self._gated(inputs, gate)
        return (outputs, gate) if return_attention else outputs

    def compute_output_spec(  # type: ignore[override]
        self,
        inputs: keras.KerasTensor,
        coarse: keras.KerasTensor,
        return_attention: bool = False,
    ) -> Any:
        """The symbolic output, or `(output, attention)`."""
        output = keras.KerasTensor(
            self.compute_output_shape(inputs.shape, coarse.shape), self.compute_dtype
        )
        if not return_attention:
            return output
        shape = self.compute_attention_shape(inputs.shape, coarse.shape)
        return output, keras.KerasTensor(shape, self.attention_dtype)

    def compute_output_shape(self, inputs_shape: Shape, coarse_shape: Shape) -> Shape:
        """As the fine map."""
        self._check(inputs_shape, coarse_shape)
        return tuple(inputs_shape)

    def compute_attention_shape(  # type: ignore[override]
        self, inputs_shape: Shape, coarse_shape: Shape
    ) -> Shape:
        """(B, H, W, 1)."""
        return self._image_shape(inputs_shape[0], self._spatial(tuple(inputs_shape)), 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "mode": self.mode,
            "stop_gradient": self.stop_gradient,
        }

    def _check(self, inputs_shape: Shape, coarse_shape: Shape) -> None:
        for name, shape in (("inputs", inputs_shape), ("coarse", coarse_shape)):
            if len(shape) != 4:
                raise ValueError(
                    f"`{name}` must have four axes. Received: {name} with shape {tuple(shape)}"
                )
        if max(self.classes) >= (known := self._channels(coarse_shape)):
            raise ValueError(
                f"`classes` must be classes of the coarse map, 0 to {known - 1}. "
                f"Received: classes={self.classes}"
            )
