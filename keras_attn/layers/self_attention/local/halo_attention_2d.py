"""Blocked local self-attention with haloes (Vaswani et al., CVPR 2021)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_divisible, check_non_negative_int, check_positive_int
from keras_attn.layers._shapes import ceil_div
from keras_attn.layers.contract import check_query
from keras_attn.layers.self_attention._heads import RelativeHeadsLayer
from keras_attn.layers.self_attention._softmax import softmax_places
from keras_attn.typing import Constraint, Initializer, Regularizer, Shape, Size, Tensor

MASKED = -3e38  # the logits of places beyond the edge: less than any that float32 has elsewhere


def split_blocks(x: Tensor, block: int, halo: int, blocks: tuple[Size, Size]) -> Tensor:
    """Cuts a map into blocks with a halo around each, zeros beyond the edge.

    Args:
        x: Tensor of shape (A, H, W, d).
        block: Side of a block.
        halo: Places that a block's window has more on each side.
        blocks: How many blocks there are down and across, ints or scalar int tensors.

    Returns:
        Tensor of shape (A, P, s, s, d): P blocks row by row, each with s = block + 2 halo.
    """
    _, height, width, depth = ops.shape(x)
    down, across = blocks
    side = block + 2 * halo
    bottom, right = down * block - height + halo, across * block - width + halo
    x = ops.pad(x, ((0, 0), (halo, bottom), (halo, right), (0, 0)))
    x = ops.take(x, _window_places(down, block, side), axis=1)
    x = ops.take(x, _window_places(across, block, side), axis=2)
    x = ops.reshape(x, (-1, down, side, across, side, depth))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))  # (A, down, across, s, s, d)
    return ops.reshape(x, (-1, down * across, side, side, depth))


def join_blocks(
    x: Tensor, block: int, blocks: tuple[Size, Size], size: tuple[Size, Size]
) -> Tensor:
    """Puts blocks without a halo together again: (A, P, b b, d) -> (A, H, W, d)."""
    down, across = blocks
    x = ops.reshape(x, (-1, down, across, block, block, ops.shape(x)[-1]))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))  # (A, down, b, across, b, d)
    x = ops.reshape(x, (-1, down * block, across * block, ops.shape(x)[-1]))
    return x[:, : size[0], : size[1]]


def join_windows(
    x: Any, block: int, halo: int, blocks: tuple[Any, Any], size: tuple[Any, Any]
) -> Any:
    """Adds up on the map what stands in the windows: (B, P, s s) -> (B, H, W)."""
    side = block + 2 * halo
    x = ops.reshape(x, (-1, *blocks, side, side))
    rows, columns = (  # (down, s, H) and (across, s, W): 1 where a window's place is the map's
        ops.reshape(
            _window_places(number, block, side)[:, None] - halo == ops.arange(length)[None],
            (-1, side, length),
        )
        for number, length in zip(blocks, size, strict=True)
    )
    x = ops.einsum("bpqij,piy->bqjy", x, ops.cast(rows, x.dtype))
    return ops.einsum("bqjy,qjx->byx", x, ops.cast(columns, x.dtype))


def places_inside(
    size: tuple[Size, Size], block: int, halo: int, blocks: tuple[Size, Size]
) -> Tensor:
    """Which places of each block's window are on the map: a bool tensor (P, s s)."""
    side = block + 2 * halo
    lines = []
    for length, number in zip(size, blocks, strict=True):
        place = ops.reshape(_window_places(number, block, side), (-1, side)) - halo
        lines.append(ops.logical_and(place >= 0, place < length))  # (number, s)
    rows, columns = lines
    inside = ops.logical_and(rows[:, None, :, None], columns[None, :, None, :])
    return ops.reshape(inside, (-1, side * side))


def _window_places(number: Size, block: int, side: int) -> Tensor:
    """The places of `number` windows along one axis, one window after another."""
    return ops.reshape(ops.arange(number)[:, None] * block + ops.arange(side)[None, :], (-1,))


def halo_logits(q: Tensor, k: Tensor, tables: tuple[Tensor, Tensor], dtype: str) -> Tensor:
    """The logits of each block's queries and its window's keys.

    Args:
        q: Queries, (A, P, b, b, d).
        k: Keys, (A, P, s, s, d).
        tables: The width and the height table, both of shape (s + b - 1, d); row
            `j - i + b - 1` belongs to the window's key j and the block's query i.
        dtype: dtype in which the logits are added.

    Returns:
        Tensor of shape (A, P, b b, s s).
    """
    _, number, block, _, depth = ops.shape(q)
    side = k.shape[2]
    rows = ops.arange(side)[None, :] - ops.arange(block)[:, None] + block - 1
    # Selecting by a product rather than a gather keeps the tables' gradients dense.
    chosen = ops.one_hot(rows, side + block - 1, dtype=tables[0].dtype)
    across, down = (ops.matmul(chosen, table) for table in tables)  # (b, s, d)
    q = ops.reshape(q, (-1, block, block, depth))
    k = ops.reshape(k, (-1, side, side, depth))
    logits = ops.cast(ops.einsum("gyxd,gijd->gyxij", q, k), dtype)
    in_row = ops.einsum("gyxd,xjd->gyxj", q, across)
    in_column = ops.einsum("gyxd,yid->gyxi", q, down)
    # Not ops.add: on TensorFlow it may take a tensor that is broadcast for a bias of another axis.
    logits = logits + ops.cast(in_row[..., None, :], dtype)
    logits = logits + ops.cast(in_column[..., :, None], dtype)
    return ops.reshape(logits, (-1, number, block * block, side * side))


@keras.saving.register_keras_serializable(package="keras_attn")
class HaloAttention2D(RelativeHeadsLayer):
    """Self-attention of each block of the map to itself and a halo around it.

    [Vaswani et al., "Scaling Local Self-Attention for Parameter Efficient Visual Backbones",
    CVPR 2021](https://arxiv.org/abs/2103.12731), section 2: the map is cut into blocks of b x b
    places; the queries of a block attend to the (b + 2 h) x (b + 2 h) places around it, with
    relative positions:

        l_ij = q_i . k_j / sqrt(d) + q_i . (r^W[jx - ix] + r^H[jy - iy])
        O    = softmax over the window of l, times v

    Any H and W will do. A map that blocks don't tile, or that is smaller than one, is padded, and
    what the padding computes is cut off. Places beyond the edge get no attention. In timm's
    `HaloAttn` they take part as zero keys and zero values: `mask_edges=False`.

    Its tables have 2 (b + h) - 1 rows, the offsets that occur. timm's have 2 h more at the start,
    which nothing reads: `table[2 * halo_size:]` is what this layer takes.

    All but the output is computed in float32 (or wider) under 16-bit policies.

    Args:
        num_heads: Positive integer N.
        key_depth: Positive integer dk, the depth of keys and queries over all heads.
        value_depth: Positive integer dv, the depth of values and of the output over all heads.
        block_size: Positive integer b.
        halo_size: Integer h of at least 0.
        query_strides: Positive integer that divides b: only every such query of a row and of a
            column attends, as in timm's `HaloAttn` with a `stride`. There the positions count
            queries, not places: row `j - i + b / query_strides - 1` of a table belongs to the
            window's key j and the block's query i.
        scale_positions: Whether `d**-0.5` scales the positions' logits too.
        mask_edges: Whether places beyond the edge of the map are kept out of the softmax.
        use_bias: Whether the projection has a bias.
        kernel_initializer: Initializer of the kernel.
        bias_initializer: Initializer of the bias.
        relative_initializer: Initializer of the tables; `None` is N(0, d**-0.5),
            d = key_depth / num_heads.
        kernel_regularizer: Regularizer of the kernel.
        bias_regularizer: Regularizer of the bias.
        kernel_constraint: Constraint of the kernel.
        bias_constraint: Constraint of the bias.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        (B, ceil(H / t), ceil(W / t), value_depth) for query strides t; the attention, float32, has
        shape (B, N, P, q q, s s) for P blocks, q = b / t and s = b + 2 h: the query's place in its
        block and the key's in the window, row by row.

    Raises:
        ValueError: Where an argument is out of its range, a depth is not divisible by
            `num_heads`, or `block_size` not by `query_strides`.

    Example:

    >>> layer = keras_attn.layers.HaloAttention2D(
    ...     num_heads=2, key_depth=8, value_depth=16, block_size=4, halo_size=1)
    >>> y, attention = layer(np.ones((1, 8, 7, 16), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([1, 8, 7, 16]), TensorShape([1, 2, 4, 16, 36]))
    """

    attention_form = "map"
    starts_as = "new_map"

    def __init__(
        self,
        *,
        num_heads: int,
        key_depth: int,
        value_depth: int,
        block_size: int = 8,
        halo_size: int = 3,
        query_strides: int = 1,
        scale_positions: bool = False,
        mask_edges: bool = True,
        use_bias: bool = False,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        relative_initializer: Initializer = None,
        kernel_regularizer: Regularizer = None,
        bias_regularizer: Regularizer = None,
        kernel_constraint: Constraint = None,
        bias_constraint: Constraint = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_heads=num_heads,
            key_depth=key_depth,
            value_depth=value_depth,
            scale_positions=scale_positions,
            relative_initializer=relative_initializer,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            data_format=data_format,
            **kwargs,
        )
        self.block_size = check_positive_int("block_size", block_size)
        self.halo_size = check_non_negative_int("halo_size", halo_size)
        self.query_strides = check_positive_int("query_strides", query_strides)
        check_divisible("block_size", block_size, "query_strides", query_strides)
        self.mask_edges = mask_edges

    def build(self, input_shape: Shape) -> None:
        """Makes the projection for C channels and the tables for the window."""
        self._build_projection(self._channels(input_shape))
        rows = self.block_size + 2 * self.halo_size + self._queries - 1
        self.relative_width = self._build_table("relative_width", rows)
        self.relative_height = self._build_table("relative_height", rows)
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the attended map, or `(outputs, attention)`."""
        k, q, v = self._project(inputs)  # (B, N, H, W, d)
        block, halo, strides = self.block_size, self.halo_size, self.query_strides
        height, width = size = tuple(ops.shape(v)[2:4])
        blocks = tuple(ceil_div(side, block) for side in size)
        of_queries = tuple(ceil_div(side, strides) for side in size)

        def merged(x: Tensor) -> Tensor:
            return ops.reshape(x, (-1, height, width, ops.shape(x)[-1]))  # (B N, H, W, d)

        q = merged(q)[:, ::strides, ::strides]
        q = split_blocks(q, self._queries, 0, blocks)  # (B N, P, q, q, d)
        k, v = (split_blocks(merged(x), block, halo, blocks) for x in (k, v))  # (B N, P, s, s, d)
        logits = halo_logits(q, k, self._tables(), self.attention_dtype)
        if self.mask_edges:
            inside = places_inside(size, block, halo, blocks)[:, None]  # (P, 1, s s)
            logits = ops.where(inside, logits, ops.cast(MASKED, logits.dtype))
        attention = softmax_places(logits)  # (B N, P, q q, s s)

        _, number, side, _, depth = ops.shape(v)
        v = ops.reshape(v, (-1, number, side * side, depth))
        outputs = ops.cast(ops.matmul(attention, v), self.compute_dtype)  # (B N, P, q q, dv / N)
        outputs = join_blocks(outputs, self._queries, blocks, of_queries)
        outputs = ops.reshape(outputs, (-1, self.num_heads, *of_queries, depth))
        outputs = ops.transpose(outputs, (0, 2, 3, 1, 4))
        outputs = ops.reshape(outputs, (-1, *of_queries, self.value_depth))
        if self.data_format == "channels_first":
            outputs = ops.transpose(outputs, (0, 3, 1, 2))
        if not return_attention:
            return outputs
        shape = (-1, self.num_heads, number, self._queries**2, side * side)
        return outputs, ops.reshape(attention, shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, ceil(H / query_strides), ceil(W / query_strides), value_depth)."""
        size = tuple(
            None if side is None else ceil_div(side, self.query_strides)
            for side in self._spatial(input_shape)
        )
        return self._image_shape(input_shape[0], size, self.value_depth)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, N, P, q q, s s)."""
        height, width = self._spatial(input_shape)
        number = None
        if height is not None and width is not None:
            number = ceil_div(height, self.block_size) * ceil_div(width, self.block_size)
        places, side = self._queries**2, self.block_size + 2 * self.halo_size
        return (input_shape[0], self.num_heads, number, places, side * side)

    def attention_by_place(
        self,
        attention: Any,
        output_shape: tuple[Any, ...],
        query: tuple[int, int] | None = None,
    ) -> Any:
        """What each place receives from all blocks, or the query pays: (B, H, W).

        Without `mask_edges`, what goes to places beyond the edge is missing. H and W are the
        output's sides times `query_strides`.
        """
        block, halo, own = self.block_size, self.halo_size, self._queries
        height, width = of_queries = self._spatial(output_shape)
        size = (height * self.query_strides, width * self.query_strides)
        down, across = (ceil_div(side, own) for side in of_queries)
        if query is None:
            # The queries that fill up the last blocks are none.
            real = places_inside(of_queries, own, 0, (down, across))[..., None]  # (P, q q, 1)
            weights = ops.mean(attention, axis=1) * ops.cast(real, attention.dtype)
            weights = ops.sum(weights, axis=2) / ops.cast(height * width, attention.dtype)
        else:
            row, column = check_query(query, of_queries)
            paying = ops.arange(down * across) == row // own * across + column // own
            place = row % own * own + column % own
            weights = ops.mean(attention[:, :, :, place], axis=1)
            weights = weights * ops.cast(paying, attention.dtype)[:, None]  # (B, P, s s)
        return join_windows(weights, block, halo, (down, across), size)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "block_size": self.block_size,
            "halo_size": self.halo_size,
            "query_strides": self.query_strides,
            "mask_edges": self.mask_edges,
        }

    @property
    def _queries(self) -> int:
        """How many queries a block has down and across."""
        return self.block_size // self.query_strides
