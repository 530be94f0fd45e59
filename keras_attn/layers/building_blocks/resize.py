"""Bilinear resizing by interpolation matrices, to a size that may be known only at run time."""

from __future__ import annotations

import keras
from keras import ops

from keras_attn.typing import Size, Tensor


def interpolation_matrix(
    size_in: Size, size_out: Size, align_corners: bool = True, dtype: str = "float32"
) -> Tensor:
    """The (size_out, size_in) matrix of linear interpolation along one axis.

    Row i holds the hat function `max(0, 1 - |p_i - k|)` around the source position p_i, which is
    `i (size_in - 1) / (size_out - 1)` with aligned corners (0 where `size_out` is 1) and
    `(i + 1/2) size_in / size_out - 1/2`, held inside the map, with half-pixel centres.

    Args:
        size_in: Number of source points, an int or a scalar int tensor.
        size_out: Number of target points, likewise.
        align_corners: Whether first and last points of both grids coincide.
        dtype: dtype of the matrix.

    Returns:
        Tensor of shape (size_out, size_in); its rows sum to 1.
    """
    n_in, n_out = ops.cast(size_in, dtype), ops.cast(size_out, dtype)
    target = ops.cast(ops.arange(size_out), dtype)
    if align_corners:
        position = target * ((n_in - 1) / ops.maximum(n_out - 1, 1))
    else:
        position = ops.clip((target + 0.5) * (n_in / n_out) - 0.5, 0, n_in - 1)
    source = ops.cast(ops.arange(size_in), dtype)
    return ops.relu(1 - ops.abs(position[:, None] - source[None, :]))


def resize_bilinear(
    x: Tensor,
    size: tuple[Size, Size],
    align_corners: bool = True,
    data_format: str = "channels_last",
) -> Tensor:
    """Resizes images bilinearly.

    With `align_corners=True` it is what Caffe's `Interp` layer and the Residual Attention Network
    do; with `False` what `keras.ops.image.resize` and most frameworks do by default.

    Args:
        x: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        size: Target `(height, width)`, ints or scalar int tensors.
        align_corners: See `interpolation_matrix`.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        Tensor of shape (B, height, width, C) and of x's dtype.
    """
    height, width = size
    dtype = keras.backend.standardize_dtype(x.dtype)
    shape = ops.shape(x)
    h, w = shape[1:3] if data_format == "channels_last" else shape[2:4]
    # Positions need float32; only the finished weights are rounded to a 16-bit dtype.
    exact = keras.backend.result_type(dtype, "float32")
    rows = ops.cast(interpolation_matrix(h, height, align_corners, exact), dtype)  # (height, h)
    columns = ops.cast(interpolation_matrix(w, width, align_corners, exact), dtype)  # (width, w)
    if data_format == "channels_first":
        x = ops.matmul(rows, x)  # (B, C, height, w)
        return ops.matmul(x, ops.transpose(columns))  # (B, C, height, width)
    channels = shape[3]
    x = ops.matmul(rows, ops.reshape(x, (-1, h, w * channels)))  # (B, height, w C)
    x = ops.reshape(x, (-1, height, w, channels))
    return ops.matmul(columns, x)  # (B, height, width, C)
