"""Average pooling with `same` padding, alike on every backend."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from keras_attn.typing import Tensor


def average_pool_same(
    x: Tensor, pool_size: int, strides: tuple[int, int], data_format: str = "channels_last"
) -> Tensor:
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
    dtype = keras.backend.standardize_dtype(x.dtype)
    exact = keras.backend.result_type(dtype, "float32")
    if dtype != exact:  # a window's sum may be beyond float16's range
        x = average_pool_same(ops.cast(x, exact), pool_size, strides, data_format)
        return ops.cast(x, dtype)
    if keras.backend.backend() != "torch":
        return ops.average_pool(x, pool_size, strides, padding="same", data_format=data_format)
    axes = (1, 2) if data_format == "channels_last" else (2, 3)
    padding = []
    for axis, stride in zip(axes, strides, strict=True):
        length = x.shape[axis]
        total = max((-(-length // stride) - 1) * stride + pool_size - length, 0)
        padding.append((total // 2, total - total // 2))
    return average_pool_padded(x, pool_size, strides, padding, data_format)


def average_pool_padded(
    x: Tensor,
    pool_size: int,
    strides: tuple[int, int],
    padding: Sequence[tuple[int, int]],
    data_format: str = "channels_last",
) -> Tensor:
    """Average pooling of a padded image where the padding doesn't count.

    Args:
        x: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        pool_size: Side of a window.
        strides: Distance of two windows, `(vertical, horizontal)`.
        padding: Pixels `(above, below)` and `(left, right)`.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        Tensor whose sides are those of a `valid` pool of the padded image.
    """
    widths = [(0, 0), *padding, (0, 0)]
    if data_format == "channels_first":
        widths = [(0, 0), (0, 0), *padding]

    def pool_padded(image: Tensor) -> Tensor:
        return ops.average_pool(
            ops.pad(image, widths), pool_size, strides, padding="valid", data_format=data_format
        )

    one_image = x[:1, ..., :1] if data_format == "channels_last" else x[:1, :1]
    return ops.divide(pool_padded(x), pool_padded(ops.ones_like(one_image)))
