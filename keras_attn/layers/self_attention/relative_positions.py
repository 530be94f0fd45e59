"""Relative positions on a map: tables by offset, and their logits (Bello et al., ICCV 2019)."""

from __future__ import annotations

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers.building_blocks.resize import interpolation_matrix
from keras_attn.typing import Size, Tensor


def relative_positions(table: Tensor, length: Size) -> Tensor:
    """Lays a table of relative positions out by query and key along one axis.

    Args:
        table: Tensor of shape (2 L - 1, d); row `offset + L - 1` belongs to `offset = key - query`.
        length: Number of places along the axis, an int or a scalar int tensor. Where it is
            greater than L, offsets beyond the table take its edge rows.

    Returns:
        Tensor of shape (length, length, d): `[query, key]` holds the row of `key - query`.
    """
    rows = table.shape[0]
    place = ops.arange(length)
    row = ops.clip(place[None, :] - place[:, None] + (rows // 2), 0, rows - 1)  # (length, length)
    # Selecting by a product rather than a gather keeps the table's gradient dense.
    return ops.matmul(ops.one_hot(row, rows, dtype=table.dtype), table)


def relative_logits(q: Tensor, width_table: Tensor, height_table: Tensor) -> tuple[Tensor, Tensor]:
    """The terms q_i . r^W and q_i . r^H of equation 3, before they are spread over the map.

    Args:
        q: Scaled queries, (B, N, H, W, d).
        width_table: (2 W - 1, d), shared by the heads.
        height_table: (2 H - 1, d), shared by the heads.

    Returns:
        `(s_w, s_h)` of shapes (B, N, H, W, W) and (B, N, H, W, H): the last axis is the key's
        column, and the key's row.
    """
    _, _, height, width, _ = ops.shape(q)
    s_w = ops.einsum("bnxyd,yjd->bnxyj", q, relative_positions(width_table, width))
    s_h = ops.einsum("bnxyd,xid->bnxyi", q, relative_positions(height_table, height))
    return s_w, s_h


def queries_and_positions(q: Tensor, width_table: Tensor, height_table: Tensor) -> Tensor:
    """[q, s_w, s_h]: beside each query, what `relative_logits` gives for it.

    Args:
        q: Scaled queries, (B, H, W, N, d).
        width_table: (2 W - 1, d), shared by the heads.
        height_table: (2 H - 1, d), shared by the heads.

    Returns:
        Tensor of shape (B N, H W, d + W + H).
    """
    _, height, width, heads, depth = ops.shape(q)
    # Places first: each row, and each column, multiplies one matrix, and nothing is transposed
    # between the two products.
    q = ops.transpose(ops.reshape(q, (-1, height * width, heads, depth)), (1, 0, 2, 3))
    q = ops.reshape(q, (height, width, -1, depth))  # (H, W, B N, d)
    by_column = ops.transpose(relative_positions(width_table, width), (0, 2, 1))  # (W, d, W)
    by_row = ops.transpose(relative_positions(height_table, height), (0, 2, 1))  # (H, d, H)
    s_w, s_h = ops.matmul(q, by_column[None]), ops.matmul(q, by_row[:, None])
    q = ops.concatenate([q, s_w, s_h], axis=-1)  # (H, W, B N, d + W + H)
    q = ops.reshape(q, (height * width, -1, depth + width + height))
    return ops.transpose(q, (1, 0, 2))


def key_places(height: Size, width: Size, dtype: str) -> Tensor:
    """Which column and which row each key is in, one-hot: (H W, W + H).

    With `queries_and_positions`, one product gives all three terms of equation 3:
    [q, s_w, s_h] . [k, column, row].
    """
    place = ops.arange(height * width)[:, None]
    column = ops.equal(place % width, ops.arange(width)[None])  # (H W, W)
    row = ops.equal(place // width, ops.arange(height)[None])  # (H W, H)
    return ops.cast(ops.concatenate([column, row], axis=-1), dtype)


def stretch_relative_table(table: Tensor, length: int) -> Tensor:
    """Stretches a table of relative positions linearly to another length of its axis.

    Offset 0 stays in the middle and the greatest offsets stay at the edges. `SelfAttention2D`
    never does this by itself; it is for weights that are loaded into a network of another size.

    Args:
        table: Array or tensor of shape (2 L - 1, d).
        length: The new length L'.

    Returns:
        Tensor of shape (2 L' - 1, d).

    Raises:
        ValueError: If the table has an even number of rows, or `length` is not positive.

    Example:

    >>> table = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]], "float32")  # L = 3
    >>> print(keras.ops.convert_to_numpy(stretch_relative_table(table, 2)).ravel())
    [-2.  0.  2.]
    """
    check_positive_int("length", length)
    table = ops.convert_to_tensor(table)
    dtype = keras.backend.standardize_dtype(table.dtype)
    if len(table.shape) != 2 or table.shape[0] % 2 == 0:
        raise ValueError(
            "`table` must have the shape (2 L - 1, d), an odd number of rows. "
            f"Received: table of shape {tuple(table.shape)}"
        )
    return ops.matmul(interpolation_matrix(table.shape[0], 2 * length - 1, dtype=dtype), table)
