"""Max pooling with Caffe's rule for the last window."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._empty import AnyBatch
from keras_attn.layers._shapes import ceil_div
from keras_attn.layers._validation import check_data_format
from keras_attn.typing import Shape, Size, Tensor


def ceil_pooled_length(length: Size, pool_size: int, strides: int) -> Size:
    """Caffe's output length, ceil((length - pool_size) / strides) + 1, but never below 1.

    With `strides` above `pool_size` a window that would begin beyond the edge doesn't count.

    Args:
        length: int, `None` (which stays `None`) or a scalar int tensor.
        pool_size: Length of a window.
        strides: Distance of two windows.

    Returns:
        The same kind as `length`.
    """
    if length is None:
        return None
    pooled = -((pool_size - length) // strides) + 1
    smaller, greater = (min, max) if isinstance(length, int) else (ops.minimum, ops.maximum)
    if strides > pool_size:
        pooled = smaller(pooled, ceil_div(length, strides))
    return greater(pooled, 1)


def ceil_max_pool(
    x: Tensor, pool_size: int = 3, strides: int = 2, data_format: str = "channels_last"
) -> Tensor:
    """Max pooling without padding whose last window may hang over the edge.

    Args:
        x: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        pool_size: Side of a window.
        strides: Distance of two windows.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        Tensor whose sides follow `ceil_pooled_length`. A 1x1 map stays as it is.
    """
    axes = (1, 2) if data_format == "channels_last" else (2, 3)
    lengths = [ops.shape(x)[axis] for axis in axes]
    overhangs = [_overhang(length, pool_size, strides) for length in lengths]
    padding = "valid"
    if all(
        _same_pads_alike(length, overhang, pool_size, strides)
        for length, overhang in zip(lengths, overhangs, strict=True)
    ):
        padding = "same"  # the usual case of even sides, with no padded copy
    elif any(not isinstance(overhang, int) or overhang > 0 for overhang in overhangs):
        widths = [(0, 0)] * 4
        for axis, overhang in zip(axes, overhangs, strict=True):
            widths[axis] = (0, overhang)
        x = ops.pad(x, widths, constant_values=float("-inf"))
    return ops.max_pool(x, pool_size, strides, padding=padding, data_format=data_format)


def padded_max_pool(x: Tensor, data_format: str = "channels_last") -> Tensor:
    """3x3 max pooling of stride 2 behind a border of one pixel, as most frameworks have it.

    Args:
        x: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        Tensor whose sides are ceil(H / 2) and ceil(W / 2).
    """
    widths = [(0, 0)] * 4
    for axis in (1, 2) if data_format == "channels_last" else (2, 3):
        widths[axis] = (1, 1)
    x = ops.pad(x, widths, constant_values=float("-inf"))
    return ops.max_pool(x, 3, 2, padding="valid", data_format=data_format)


def _overhang(length: Size, pool_size: int, strides: int) -> Size:
    """How far the last window reaches over the edge."""
    overhang = (ceil_pooled_length(length, pool_size, strides) - 1) * strides + pool_size - length
    return max(overhang, 0) if isinstance(length, int) else ops.maximum(overhang, 0)


def _same_pads_alike(length: Size, overhang: Size, pool_size: int, strides: int) -> bool:
    """Whether `same` padding puts exactly `overhang` behind the map and nothing before it."""
    if not isinstance(length, int):
        return False
    total = max((-(-length // strides) - 1) * strides + pool_size - length, 0)
    return total == overhang and total // 2 == 0


@keras.saving.register_keras_serializable(package="keras_attn")
class CeilMaxPooling2D(AnyBatch):
    """Max pooling as Caffe does it: no padding, and a last window that may hang over the edge.

    The output's sides are ceil((H - pool_size) / strides) + 1, at least 1; a window that would
    begin beyond the edge, as one may where `strides` is the greater, doesn't count. On even sides a
    3x3 pool of stride 2 equals `MaxPooling2D(3, 2, "same")`; on odd sides Keras's windows are
    shifted by one pixel and one more of them fits. Caffe's networks (Residual Attention, SENet)
    need this one.

    Args:
        pool_size: Positive integer, the side of a window.
        strides: Positive integer, the distance of two windows.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) if `channels_first`.

    Output shape:
        (B, ceil((H - pool_size) / strides) + 1, ceil((W - pool_size) / strides) + 1, C).

    Raises:
        ValueError: If an argument is no positive integer.

    Example:

    >>> keras_attn.layers.CeilMaxPooling2D()(np.ones((1, 112, 75, 3), "float32")).shape
    TensorShape([1, 56, 37, 3])
    """

    def __init__(
        self,
        pool_size: int = 3,
        strides: int = 2,
        *,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = check_positive_int("pool_size", pool_size)
        self.strides = check_positive_int("strides", strides)
        self.data_format = check_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the pooled map."""
        return ceil_max_pool(inputs, self.pool_size, self.strides, self.data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The sides after pooling; batch and channels stay."""
        shape = list(input_shape)
        for axis in (1, 2) if self.data_format == "channels_last" else (2, 3):
            shape[axis] = ceil_pooled_length(shape[axis], self.pool_size, self.strides)
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "data_format": self.data_format,
        }
