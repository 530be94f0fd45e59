"""Two-dimensional self-attention with relative positions (Bello et al., ICCV 2019)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_divisible, check_pair, check_positive_int
from keras_attn.layers._base import ProjectingAttentionLayer, clone_initializer
from keras_attn.layers._validation import check_choice
from keras_attn.layers.self_attention._memory import (
    IMPLEMENTATIONS,
    check_map_size,
    chosen_chunk,
)
from keras_attn.layers.self_attention.chunked_attention import Chunk, attend
from keras_attn.layers.self_attention.fused_attention import attend_fused
from keras_attn.layers.self_attention.relative_positions import (
    key_places,
    queries_and_positions,
    relative_logits,
)
from keras_attn.typing import Constraint, Initializer, Regularizer, Shape, Tensor


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(B, H, W, N d) -> (B, N, H, W, d); the head is the slow part of the channel index."""
    _, height, width, depth = ops.shape(x)
    x = ops.reshape(x, (-1, height, width, num_heads, depth // num_heads))
    return ops.transpose(x, (0, 3, 1, 2, 4))


def attention_map(q: Tensor, k: Tensor, tables: tuple[Tensor, Tensor] | None, dtype: str) -> Tensor:
    """Softmax of equation 3 over all keys.

    Args:
        q: Scaled queries, (B, N, H, W, d).
        k: Keys, (B, N, H, W, d).
        tables: The width and the height table, or `None` for attention without positions.
        dtype: dtype in which the logits are added and the softmax is taken.

    Returns:
        Tensor of shape (B, N, H W, H W): queries, then keys, both row by row.
    """
    _, heads, height, width, _ = ops.shape(q)
    logits = ops.cast(ops.einsum("bnxyd,bnijd->bnxyij", q, k), dtype)
    if tables is not None:
        s_w, s_h = relative_logits(q, *tables)
        # Not ops.add: on TensorFlow a tensor that is broadcast may pass for a bias of another axis.
        logits = logits + ops.cast(s_w[..., None, :], dtype)
        logits = logits + ops.cast(s_h[..., :, None], dtype)
    places = height * width
    logits = ops.reshape(logits, (-1, heads, places, places))
    # Keras warns of a softmax over one value; on a 1x1 map it is meant.
    return ops.ones_like(logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)


@keras.saving.register_keras_serializable(package="keras_attn")
class SelfAttention2D(ProjectingAttentionLayer):
    """Multi-head self-attention over the places of an image, with relative positions.

    [Bello et al., "Attention Augmented Convolutional Networks", ICCV 2019](
    https://arxiv.org/abs/1904.09925), equations 1 to 4, following the paper's TensorFlow
    appendix: one 1x1 projection gives k, q and v; q is scaled by `d**-0.5` before its product
    with the keys and with the relative positions; every head uses the same two tables; a 1x1
    projection mixes the heads' outputs.

        l_ij = q_i / sqrt(d) . (k_j + r^W[jx - ix] + r^H[jy - iy])
        O    = softmax(l) v

    One set of weights serves every H x W. The tables are made for a map of `table_size`: a
    relative offset inside them is exact, and one beyond takes the edge row. To stretch
    them to another size instead, when weights are loaded, see `stretch_relative_table`.

    Under 16-bit policies the projection to keys, queries and values, the logits and the softmax are
    in float32 (or wider).

    Four implementations give the same numbers:

    - `"full"` holds all (H W)^2 logits of every head.
    - `"chunked"` takes some heads or queries at a time, at most `max_logits_bytes` of logits, and
      computes them again in the backward pass: memory that grows with H W, and faster where the
      map is large.
    - `"fused"` is the attention operation of JAX or PyTorch, in float32 (or wider) as the others;
      positions are folded into its product. Where it has a kernel for such numbers, as PyTorch
      has, the map is never held; where it has none, as cuDNN under JAX, the map is held whole.
      TensorFlow has no such operation: there it is `"auto"`.
    - `"auto"` is full where one head's map takes at most 1 MiB (22x22 places in float32), and
      chunked above or where H and W are unknown.

    `return_attention` always makes the whole map.

    Args:
        num_heads: Positive integer N.
        key_depth: Positive integer dk, the depth of keys and queries over all heads.
        value_depth: Positive integer dv, the depth of values and of the output over all heads.
        relative: Whether relative positions are used; without them the layer does not know
            where a place is, and is permutation equivariant.
        table_size: `(height, width)` of the map for which the tables are made, an integer or two.
            By default the size at build; required where that is unknown.
        use_bias: Whether both projections have a bias.
        kernel_initializer: Initializer of both kernels.
        bias_initializer: Initializer of both biases.
        relative_initializer: Initializer of the tables; `None` is the appendix's
            N(0, d**-0.5), d = key_depth / num_heads.
        implementation: `"auto"`, `"full"`, `"chunked"` or `"fused"`, see above.
        max_logits_bytes: Positive integer, the logits that `"chunked"` has in memory at a time;
            `None` is 20 MiB. It is at least one query's for each head that is computed at a time.
            Given, it bounds one image's map for `return_attention` as well, which otherwise may
            take 1 GiB.
        kernel_regularizer: Regularizer of both kernels.
        bias_regularizer: Regularizer of both biases.
        kernel_constraint: Constraint of both kernels.
        bias_constraint: Constraint of both biases.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        (B, H, W, value_depth); the attention, float32, has shape (B, N, H W, H W), its last two
        axes being the query's and the key's place, row by row.

    Raises:
        ValueError: Where an argument is out of its range, a depth is not divisible by
            `num_heads`, the tables' size is unknown, `max_logits_bytes` can't hold one query's
            logits, or the map asked for is over its bound.

    Example:

    >>> layer = keras_attn.layers.SelfAttention2D(num_heads=2, key_depth=8, value_depth=6)
    >>> y, attention = layer(np.ones((1, 5, 3, 4), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([1, 5, 3, 6]), TensorShape([1, 2, 15, 15]))
    """

    attention_form = "map"
    starts_as = "new_map"

    def __init__(
        self,
        *,
        num_heads: int,
        key_depth: int,
        value_depth: int,
        relative: bool = True,
        table_size: int | tuple[int, int] | None = None,
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        relative_initializer: Initializer = None,
        implementation: str = "auto",
        max_logits_bytes: int | None = None,
        kernel_regularizer: Regularizer = None,
        bias_regularizer: Regularizer = None,
        kernel_constraint: Constraint = None,
        bias_constraint: Constraint = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
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
        self.num_heads = check_positive_int("num_heads", num_heads)
        self.key_depth = check_divisible("key_depth", key_depth, "num_heads", num_heads)
        self.value_depth = check_divisible("value_depth", value_depth, "num_heads", num_heads)
        self.relative = relative
        self.table_size = None if table_size is None else check_pair("table_size", table_size)
        self.relative_initializer = keras.initializers.get(relative_initializer)
        self.implementation = check_choice("implementation", implementation, IMPLEMENTATIONS)
        if max_logits_bytes is not None:
            check_positive_int("max_logits_bytes", max_logits_bytes)
        self.max_logits_bytes = max_logits_bytes

    @property
    def key_dim(self) -> int:
        """The depth of a key per head."""
        return self.key_depth // self.num_heads

    def build(self, input_shape: Shape) -> None:
        """Makes the projections for C channels and the tables for `table_size`."""
        channels = self._channels(input_shape)
        depth = 2 * self.key_depth + self.value_depth
        # autocast=False: what makes logits stays exact, see `call`.
        self.kqv_kernel = self._add_kernel("kqv_kernel", (channels, depth), autocast=False)
        self.output_kernel = self._add_kernel("output_kernel", (self.value_depth,) * 2)
        if self.use_bias:
            self.kqv_bias = self._add_bias("kqv_bias", depth, autocast=False)
            self.output_bias = self._add_bias("output_bias", self.value_depth)
        if self.relative:
            height, width = self.table_size or self._spatial(input_shape)
            if height is None or width is None:
                raise ValueError(
                    "`table_size` must be given where the input's height and width are unknown at "
                    f"build. Received: table_size=None, input_shape={tuple(input_shape)}"
                )
            self.relative_width = self._add_table("relative_width", width)
            self.relative_height = self._add_table("relative_height", height)
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the attended map, or `(outputs, attention)`."""
        # The logits of large inputs are beyond float16's range, and a key rounded to 16 bits moves
        # them by more than 1: up to the softmax, nothing is.
        inputs = ops.cast(inputs, self.attention_dtype)
        if self.data_format == "channels_first":
            inputs = ops.transpose(inputs, (0, 2, 3, 1))
        kqv = ops.matmul(inputs, self.kqv_kernel)  # (B, H, W, 2 dk + dv)
        if self.use_bias:
            kqv = ops.add(kqv, self.kqv_bias)
        k, q, v = ops.split(kqv, (self.key_depth, 2 * self.key_depth), axis=-1)
        q = ops.multiply(q, self.key_dim**-0.5)
        _, height, width, _ = ops.shape(q)

        attention = None
        if return_attention:
            q, k, v = (split_heads(x, self.num_heads) for x in (q, k, v))  # (B, N, H, W, d)
            attention = self._attention_map(q, k)
            v = ops.reshape(v, (-1, self.num_heads, height * width, v.shape[-1]))
            outputs = ops.matmul(attention, v)
        else:
            outputs = self._attend(q, k, v)  # (B, N, H W, dv / N)
        outputs = ops.cast(outputs, self.compute_dtype)
        outputs = ops.transpose(outputs, (0, 2, 1, 3))
        outputs = ops.reshape(outputs, (-1, height, width, self.value_depth))
        outputs = ops.matmul(outputs, self.output_kernel)  # (B, H, W, dv)
        if self.use_bias:
            outputs = ops.add(outputs, self.output_bias)
        if self.data_format == "channels_first":
            outputs = ops.transpose(outputs, (0, 3, 1, 2))
        return (outputs, attention) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, value_depth)."""
        return self._image_shape(input_shape[0], self._spatial(input_shape), self.value_depth)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, N, H W, H W)."""
        height, width = self._spatial(input_shape)
        places = None if height is None or width is None else height * width
        return (input_shape[0], self.num_heads, places, places)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_depth": self.key_depth,
            "value_depth": self.value_depth,
            "relative": self.relative,
            "table_size": self.table_size,
            "relative_initializer": keras.initializers.serialize(self.relative_initializer),
            "implementation": self.implementation,
            "max_logits_bytes": self.max_logits_bytes,
        }

    def _tables(self) -> tuple[Tensor, Tensor] | None:
        if not self.relative:
            return None
        tables = (self.relative_width, self.relative_height)
        return tuple(ops.cast(table, self.attention_dtype) for table in tables)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The heads' outputs without their map: (B, N, H W, dv / N), from (B, H, W, N d)."""
        _, height, width, _ = ops.shape(q)
        places, positions, tables = height * width, None, self._tables()

        def by_head(x: Tensor, *axes: int) -> Tensor:
            x = ops.reshape(x, (-1, places, self.num_heads, x.shape[-1] // self.num_heads))
            x = ops.transpose(x, axes)
            return ops.reshape(x, (-1, *ops.shape(x)[2:]))

        keys, v = by_head(k, 0, 2, 3, 1), by_head(v, 0, 2, 1, 3)  # (B N, d, H W), (B N, H W, e)
        if tables is None:
            q = by_head(q, 0, 2, 1, 3)
        else:
            q = ops.reshape(q, (-1, height, width, self.num_heads, self.key_dim))
            q = queries_and_positions(q, *tables)
            positions = key_places(height, width, self.attention_dtype)
        if self.implementation == "fused" and keras.backend.backend() != "tensorflow":
            outputs = attend_fused(q, keys, v, positions)
        else:
            outputs = attend(q, keys, v, positions, self._chunk(places))
        return ops.reshape(outputs, (-1, self.num_heads, places, v.shape[-1]))

    def _chunk(self, places: Tensor) -> Chunk | None:
        """What is computed at a time, or `None` for the full map."""
        return chosen_chunk(places, self.num_heads, **self._memory)

    def _attention_map(self, q: Tensor, k: Tensor) -> Tensor:
        """The whole map (B, N, H W, H W), where it is within its bound."""
        _, _, height, width, _ = ops.shape(q)
        check_map_size((height, width), self.num_heads, **self._memory)
        return attention_map(q, k, self._tables(), self.attention_dtype)

    @property
    def _memory(self) -> dict[str, Any]:
        return {
            "implementation": self.implementation,
            "max_logits_bytes": self.max_logits_bytes,
            "logit_bytes": 8 if self.attention_dtype == "float64" else 4,
        }

    def _add_table(self, name: str, length: int) -> Tensor:
        initializer = self.relative_initializer or keras.initializers.RandomNormal(
            stddev=self.key_dim**-0.5
        )
        return self.add_weight(
            name=name,
            shape=(2 * length - 1, self.key_dim),
            initializer=clone_initializer(initializer),
            autocast=False,
        )
