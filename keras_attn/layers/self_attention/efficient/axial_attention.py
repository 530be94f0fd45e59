"""Axial attention, with and without positions (Wang et al., ECCV 2020; Ho et al., 2019)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_divisible, check_pair, check_positive_int
from keras_attn.layers._base import clone_initializer
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_choice
from keras_attn.layers.contract import check_query
from keras_attn.layers.self_attention._softmax import softmax_places
from keras_attn.layers.self_attention.relative_positions import relative_positions
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

AXES = ("height", "width", "both")


@keras.saving.register_keras_serializable(package="keras_attn")
class AxialAttention(ComposedAttentionLayer):
    """Axial attention: each place attends to its column, and then to its row.

    [Wang et al., "Axial-DeepLab: Stand-Alone Axial-Attention for Panoptic Segmentation", ECCV
    2020](https://arxiv.org/abs/2003.07853), equation 4, as the authors' `AxialAttention`. Along one
    axis, o being the query's place and p the keys':

        s_op = bn(q_o . k_p) + bn(q_o . r^q_{p-o}) + bn(k_p . r^k_{p-o})
        y_o  = bn(sum over p of softmax_p(s) v_p) + bn(sum over p of softmax_p(s) r^v_{p-o})

    q, k and v come from one projection without a bias and its BatchNormalization; keys are half as
    deep as values. Every bn is a BatchNormalization of its own, one number for each head in s and
    for each channel in y. All heads share the tables r. Without `relative` the terms with r are
    missing: axial attention as [Ho et al., 2019](https://arxiv.org/abs/1912.12180), describe it,
    with the same normalizations.

    With `along="both"`, the default, the height's attention is followed by the width's, each with
    weights of its own, as in the authors' blocks. H W (H + W) weights a head are in memory, not
    (H W)^2. All but the output is computed in float32 (or wider) under 16-bit policies.

    Args:
        value_depth: Positive integer, the depth of the output over all heads, divisible by
            `2 * num_heads`; `None` takes C.
        num_heads: Positive integer N.
        along: `"height"`, `"width"` or `"both"`: the axes along which it attends.
        relative: Whether relative positions are used.
        table_size: `(height, width)` of the map for which the tables are made, an integer or two.
            By default the size at build; offsets beyond it take the edge row.
        relative_initializer: Initializer of the tables; `None` is the authors' N(0, 1 / v), v being
            the depth of a head's values.
        kernel_initializer: Initializer of the projections.
        kernel_regularizer: Regularizer of the projections.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        (B, H, W, value_depth); the attention, float32, has shape (B, N, H, W, H + W) in both data
        formats: for each place the weights of its column, and then of its row. Of one axis alone
        they are (B, N, H, W, H) or (B, N, H, W, W).

    Raises:
        ValueError: Where an argument is out of its range, the value depth isn't divisible, or the
            tables' size is unknown.

    Example:

    >>> layer = keras_attn.layers.AxialAttention(num_heads=2)
    >>> y, attention = layer(np.ones((1, 5, 3, 16), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([1, 5, 3, 16]), TensorShape([1, 2, 5, 3, 8]))
    """

    attention_form = "map"
    starts_as = "new_map"

    def __init__(
        self,
        value_depth: int | None = None,
        *,
        num_heads: int = 8,
        along: str = "both",
        relative: bool = True,
        table_size: int | tuple[int, int] | None = None,
        relative_initializer: Initializer = None,
        kernel_initializer: Initializer = "lecun_normal",
        kernel_regularizer: Regularizer = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            data_format=data_format,
            **kwargs,
        )
        self.num_heads = check_positive_int("num_heads", num_heads)
        if value_depth is not None:
            check_divisible("value_depth", value_depth, "2 * num_heads", 2 * num_heads)
        self.value_depth = value_depth
        self.along = check_choice("along", along, AXES)
        self.relative = relative
        self.table_size = None if table_size is None else check_pair("table_size", table_size)
        self.relative_initializer = keras.initializers.get(relative_initializer)

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes along which it attends, in their order."""
        return ("height", "width") if self.along == "both" else (self.along,)

    def build(self, input_shape: Shape) -> None:
        """Makes the projection and the tables of each axis, for C channels."""
        channels = self._channels(input_shape)
        depth = check_divisible(
            "value_depth", self.value_depth or channels, "2 * num_heads", 2 * self.num_heads
        )
        size = self.table_size or self._spatial(input_shape)
        if self.relative and None in size:
            raise ValueError(
                "`table_size` must be given where the input's height and width are unknown at "
                f"build. Received: table_size=None, input_shape={tuple(input_shape)}"
            )
        lengths: dict[str, Any] = dict(zip(("height", "width"), size, strict=True))
        exact = {"data_format": "channels_last", "dtype": self.attention_policy}
        terms = 3 if self.relative else 1

        def batch_norm(name: str, features: int) -> Any:
            return built(self._batch_norm(name, **exact), (None, None, None, features))

        def of_maps(name: str) -> Any:
            # A head's maps are whole: (B A, 3 N, L, L).
            norm = self._batch_norm(name, **{**exact, "data_format": "channels_first"})
            return built(norm, (None, terms * self.num_heads, None, None))

        self.projections, self.qkv_bns, self.logit_bns, self.output_bns = [], [], [], []
        self.tables: list[Tensor] = []
        for axis in self.axes:
            qkv = self._dense(f"{axis}_qkv", 2 * depth, use_bias=False, dtype=self.attention_policy)
            self.projections.append(built(qkv, (None, None, None, channels)))
            self.qkv_bns.append(batch_norm(f"{axis}_qkv_bn", 2 * depth))
            self.logit_bns.append(of_maps(f"{axis}_logit_bn"))
            outputs = 2 * depth if self.relative else depth
            self.output_bns.append(batch_norm(f"{axis}_output_bn", outputs))
            if self.relative:
                self.tables.append(self._add_table(axis, lengths[axis], depth // self.num_heads))
            channels = depth
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the attended map, or `(outputs, attention)`."""
        x, attentions = self._to_last(self._wide(inputs)), []
        for number, axis in enumerate(self.axes):
            along_height = axis == "height"
            x = ops.transpose(x, (0, 2, 1, 3)) if along_height else x
            x, attention = self._attend(x, number, training)  # (B, A, L, C), (B, A, N, L, L)
            x = ops.transpose(x, (0, 2, 1, 3)) if along_height else x
            order = (0, 2, 3, 1, 4) if along_height else (0, 2, 1, 3, 4)
            attentions.append(ops.transpose(attention, order))  # (B, N, H, W, L)
        outputs = ops.cast(self._from_last(x), self.compute_dtype)
        if not return_attention:
            return outputs
        return outputs, ops.concatenate(attentions, axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, value_depth)."""
        depth = self.value_depth or self._channels(input_shape)
        return self._image_shape(input_shape[0], self._spatial(input_shape), depth)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, N, H, W, H + W), or with one of the two last."""
        height, width = self._spatial(input_shape)
        size: dict[str, Any] = {"height": height, "width": width}
        sides = [size[axis] for axis in self.axes]
        keys = None if None in sides else sum(sides)
        return (input_shape[0], self.num_heads, size["height"], size["width"], keys)

    def attention_by_place(
        self,
        attention: Any,
        output_shape: tuple[Any, ...],
        query: tuple[int, int] | None = None,
    ) -> Any:
        """What each place receives through both passes, or the query pays: (B, H, W).

        The means over the heads of both are multiplied.
        """
        height, width = size = self._spatial(output_shape)
        attention = ops.mean(attention, axis=1)  # (B, H, W, H + W)
        if query is None:
            weight = ops.ones((height, width), attention.dtype) / ops.cast(
                height * width, attention.dtype
            )
        else:
            y, x = check_query(query, size)
            in_row, in_column = (
                ops.cast(ops.equal(ops.arange(side), place), attention.dtype)
                for side, place in zip(size, (y, x), strict=True)
            )
            weight = in_row[:, None] * in_column
        paid = ops.broadcast_to(weight, ops.shape(attention)[:3])  # by each place of the output
        if "width" in self.axes:
            paid = ops.einsum("bhw,bhwk->bhk", paid, attention[..., -width:])
        if "height" in self.axes:
            paid = ops.einsum("bhw,bhwk->bkw", paid, attention[..., :height])
        return paid

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "value_depth": self.value_depth,
            "num_heads": self.num_heads,
            "along": self.along,
            "relative": self.relative,
            "table_size": self.table_size,
            "relative_initializer": keras.initializers.serialize(self.relative_initializer),
        }

    def _add_table(self, axis: str, length: int, value_dim: int) -> Tensor:
        """Rows by offset; columns are r^q, r^k and r^v."""
        initializer = self.relative_initializer or keras.initializers.RandomNormal(
            stddev=value_dim**-0.5
        )
        return self.add_weight(
            name=f"{axis}_relative",
            shape=(2 * length - 1, 2 * value_dim),
            initializer=clone_initializer(initializer),
            autocast=False,
        )

    def _attend(self, x: Tensor, number: int, training: bool | None) -> tuple[Tensor, Tensor]:
        """Along the third axis: (B, A, L, C) -> (B, A, L, N v), and the weights (B, A, N, L, L)."""
        qkv = self.qkv_bns[number](self.projections[number](x), training=training)
        _, lines, length, depth = ops.shape(qkv)
        value_dim = depth // 2 // self.num_heads
        parts = (value_dim // 2, 2 * (value_dim // 2))
        qkv = ops.reshape(qkv, (-1, length, self.num_heads, 2 * value_dim))
        q, k, v = ops.split(ops.transpose(qkv, (0, 2, 1, 3)), parts, axis=-1)  # (B A, N, L, ...)
        logits = [ops.matmul(q, ops.swapaxes(k, -1, -2))]
        r_v = None
        if self.relative:
            rows = relative_positions(self._wide(self.tables[number]), length)  # (L, L, 2 v)
            r_q, r_k, r_v = ops.split(rows, parts, axis=-1)
            logits.append(ops.einsum("anoc,opc->anop", q, r_q))
            logits.append(ops.einsum("anpc,opc->anop", k, r_k))
        normal = self.logit_bns[number](ops.concatenate(logits, axis=1), training=training)
        weights = softmax_places(sum(ops.split(normal, len(logits), axis=1)))  # (B A, N, L, L)

        outputs = [ops.matmul(weights, v)]
        if r_v is not None:
            outputs.append(ops.einsum("anop,opc->anoc", weights, r_v))
        outputs = [
            ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, lines, length, depth // 2))
            for y in outputs
        ]
        y = self.output_bns[number](ops.concatenate(outputs, axis=-1), training=training)
        y = sum(ops.split(y, len(outputs), axis=-1))
        return y, ops.reshape(weights, (-1, lines, self.num_heads, length, length))
