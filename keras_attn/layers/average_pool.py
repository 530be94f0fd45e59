"""Average pooling with `same` padding, alike on every backend."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def average_pool_same(
    x: Any, pool_size: int, strides: tuple[int, int], data_format: str = "channels_last"
) -> Any:
    """Average pooling where the pixels beyond the edge don't count.

    Keras on PyTorch repeats the edge's pixels and counts them wherever `same` pads one side more
    than the other, as on even sides with stride 2. There, sums and counts are pooled instead.

    Args:
        x: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        pool_size: Side of a window.
        strides: Distance of two windows, `(vertical, horizontal)`.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        Tensor of shape (B, ceil(H / strides[0]), ceil(W / strides[1]), C).
    """
    if keras.backend.backend() != "torch":
        return ops.average_pool(x, pool_size, strides, padding="same", data_format=data_format)
    axes = (1, 2) if data_format == "channels_last" else (2, 3)
    widths = [(0, 0)] * 4
    for axis, stride in zip(axes, strides, strict=True):
        length = x.shape[axis]
        total = max((-(-length // stride) - 1) * stride + pool_size - length, 0)
        widths[axis] = (total // 2, total - total // 2)

    def pool_padded(image: Any) -> Any:
        return ops.average_pool(
            ops.pad(image, widths), pool_size, strides, padding="valid", data_format=data_format
        )

    inside = ops.ones([1 if axis not in axes else x.shape[axis] for axis in range(4)], x.dtype)
    return ops.divide(pool_padded(x), pool_padded(inside))
