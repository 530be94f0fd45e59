"""Bilinear resizing as layers, to sizes that only a run of the graph may know."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._validation import check_data_format
from keras_attn.layers.building_blocks.resize import resize_bilinear
from keras_attn.typing import Shape, Tensor


class _Resizing(keras.layers.Layer):
    """Bilinear, half-pixel centres."""

    def __init__(self, *, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = check_data_format(data_format)

    @property
    def sides(self) -> slice:
        """The axes of height and width."""
        return slice(1, 3) if self.data_format == "channels_last" else slice(2, 4)

    def resized(self, x: Tensor, size: tuple[Any, Any]) -> Tensor:
        """The maps in another size; as they are where that is known to be theirs."""
        if tuple(x.shape[self.sides]) == tuple(size):
            return x
        return resize_bilinear(x, size, False, self.data_format)

    def shape_of(self, shape: Shape, size: tuple[int | None, ...]) -> Shape:
        """A shape with other sides."""
        new = list(shape)
        new[self.sides] = size
        return tuple(new)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "data_format": self.data_format}


@keras.saving.register_keras_serializable(package="keras_attn")
class ResizeLike(_Resizing):
    """Resizes maps to the size of another map, such as the image.

    Args:
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (B, h, w, C), and (B, H, W, ...) whose size is taken.

    Output shape:
        (B, H, W, C).

    Example:

    >>> layer = keras_attn.applications.ResizeLike()
    >>> layer(np.ones((1, 2, 3, 5)), np.ones((1, 8, 7, 3))).shape
    TensorShape([1, 8, 7, 5])
    """

    def call(self, inputs: Tensor, like: Tensor) -> Tensor:
        """Returns the resized maps."""
        return self.resized(inputs, tuple(ops.shape(like)[self.sides]))

    def compute_output_shape(self, inputs_shape: Shape, like_shape: Shape) -> Shape:
        """The maps' with the other's sides."""
        return self.shape_of(inputs_shape, tuple(like_shape[self.sides]))


@keras.saving.register_keras_serializable(package="keras_attn")
class ResizeBy(_Resizing):
    """Resizes images by a factor; the sides are rounded, and at least 1.

    Args:
        scale: Positive number, the new sides in the old ones.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (B, H, W, C).

    Output shape:
        (B, scale H, scale W, C).

    Raises:
        ValueError: If `scale` isn't positive.

    Example:

    >>> keras_attn.applications.ResizeBy(0.5)(np.ones((1, 8, 7, 3))).shape
    TensorShape([1, 4, 4, 3])
    """

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not scale > 0:
            raise ValueError(f"`scale` must be positive. Received: scale={scale!r}")
        self.scale = scale

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the resized images."""
        first, second = (self._side(side) for side in ops.shape(inputs)[self.sides])
        return self.resized(inputs, (first, second))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The images' with other sides."""
        sides = tuple(input_shape[self.sides])
        size = tuple(None if side is None else self._side(side) for side in sides)
        return self.shape_of(input_shape, size)

    def _side(self, side: Any) -> Any:
        if isinstance(side, int):
            return max(1, int(self.scale * side + 0.5))
        scaled = ops.floor(self.scale * ops.cast(side, "float32") + 0.5)
        return ops.maximum(1, ops.cast(scaled, "int32"))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}
