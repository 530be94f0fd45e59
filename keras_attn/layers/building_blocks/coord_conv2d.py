"""Coordinates as channels, and the convolution that sees them (Liu et al., NeurIPS 2018)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._empty import AnyBatch
from keras_attn.layers._validation import check_channels, check_data_format
from keras_attn.typing import Shape, Size, Tensor


def coordinate_line(length: Size, dtype: str) -> Tensor:
    """Positions from -1 to 1, or 0 where there is but one: (length,)."""
    last = ops.cast(length, dtype) - 1
    return (2 * ops.cast(ops.arange(length), dtype) - last) / ops.maximum(last, 1)


def add_coordinates(x: Tensor, with_radius: bool, data_format: str = "channels_last") -> Tensor:
    """Appends the coordinates x and y, and their distance from the centre.

    Args:
        x: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        with_radius: Whether sqrt(x^2 + y^2) is appended too.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        Tensor of shape (B, H, W, C + 2) or (B, H, W, C + 3).
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    exact = keras.backend.result_type(dtype, "float32")
    shape = ops.shape(x)
    axis, height, width = (3, shape[1], shape[2])
    if data_format == "channels_first":
        axis, height, width = (1, shape[2], shape[3])
    row, column = coordinate_line(height, exact), coordinate_line(width, exact)
    column = ops.broadcast_to(column[None, :], (height, width))
    row = ops.broadcast_to(row[:, None], (height, width))
    planes = [column, row]
    if with_radius:
        planes.append(ops.sqrt(ops.add(ops.square(column), ops.square(row))))
    planes = ops.cast(ops.expand_dims(ops.stack(planes, axis=axis - 1), 0), dtype)
    planes = ops.broadcast_to(planes, (shape[0], *ops.shape(planes)[1:]))
    return ops.concatenate([x, planes], axis=axis)


@keras.saving.register_keras_serializable(package="keras_attn")
class AddCoordinates(keras.layers.Layer):
    """Appends the coordinates of each place as channels.

    [Liu et al., "An Intriguing Failing of Convolutional Neural Networks and the CoordConv
    Solution", NeurIPS 2018](https://arxiv.org/abs/1807.03247), section 3: x runs from -1 at the
    left edge to 1 at the right one, y from -1 at the top to 1 at the bottom; an axis of one place
    has 0. The radius is the distance from the centre, sqrt(x^2 + y^2).

    Args:
        with_radius: Whether the radius is appended behind x and y.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) if `channels_first`; any H and W.

    Output shape:
        (B, H, W, C + 2), or (B, H, W, C + 3) with the radius.

    Raises:
        ValueError: If `data_format` is none of the two.

    Example:

    >>> y = keras_attn.layers.AddCoordinates()(np.zeros((1, 1, 3, 1), "float32"))
    >>> print(keras.ops.convert_to_numpy(y)[0, 0, :, 1])
    [-1.  0.  1.]
    """

    def __init__(
        self, with_radius: bool = False, *, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.with_radius = with_radius
        self.data_format = check_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the map with its coordinates."""
        return add_coordinates(inputs, self.with_radius, self.data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Two or three channels more."""
        return _shape_with_coordinates(input_shape, self.with_radius, self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "with_radius": self.with_radius,
            "data_format": self.data_format,
        }


@keras.saving.register_keras_serializable(package="keras_attn")
class CoordConv2D(AnyBatch, keras.layers.Conv2D):
    """`keras.layers.Conv2D` that also sees the coordinates of each place.

    [Liu et al., "An Intriguing Failing of Convolutional Neural Networks and the CoordConv
    Solution", NeurIPS 2018](https://arxiv.org/abs/1807.03247): the convolution of what
    `AddCoordinates` gives. The kernel has 2 or 3 more input channels, the last ones.

    Args:
        filters: Positive integer, the channels of the output.
        kernel_size: Size of the kernel, an integer or two.
        with_radius: Whether the radius is among the coordinates.
        **kwargs: Arguments of `keras.layers.Conv2D`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) if `channels_first`.

    Output shape:
        As that of `keras.layers.Conv2D`.

    Raises:
        ValueError: As `keras.layers.Conv2D` does.

    Example:

    >>> layer = keras_attn.layers.CoordConv2D(12, 3, padding="same")
    >>> layer(np.ones((1, 5, 7, 8), "float32")).shape, layer.kernel.shape
    (TensorShape([1, 5, 7, 12]), TensorShape([3, 3, 10, 12]))
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        *,
        with_radius: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, **kwargs)
        self.with_radius = with_radius

    def build(self, input_shape: Shape) -> None:
        """Makes the kernel for C channels and the coordinates."""
        check_channels(type(self).__name__, input_shape, self.data_format)
        super().build(_shape_with_coordinates(input_shape, self.with_radius, self.data_format))
        axis = 3 if self.data_format == "channels_last" else 1
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={axis: input_shape[axis]})

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the convolution of the map with its coordinates."""
        return super().call(add_coordinates(inputs, self.with_radius, self.data_format))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As that of `keras.layers.Conv2D`."""
        shape = _shape_with_coordinates(input_shape, self.with_radius, self.data_format)
        return tuple(super().compute_output_shape(shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "with_radius": self.with_radius}


def _shape_with_coordinates(input_shape: Shape, with_radius: bool, data_format: str) -> Shape:
    shape = list(input_shape)
    axis = 3 if data_format == "channels_last" else 1
    channels = shape[axis]
    if channels is not None:
        shape[axis] = channels + (3 if with_radius else 2)
    return tuple(shape)
