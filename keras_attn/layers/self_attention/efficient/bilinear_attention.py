"""The bilinear attentional transform, BAT (Chi et al., CVPR 2020)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_groups
from keras_attn.layers.contract import check_query
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


def bilinear_transform(x: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """P X Q for each group, P and Q being spread over blocks of places.

    Args:
        x: Tensor of shape (B, H, W, c), whose H and W are multiples of k.
        p: P's weights, (B, G, k, k): the block of rows that is made, and those it is made of.
        q: Q's weights, (B, G, k, k): the block of columns it is made of, and that which is made.

    Returns:
        Tensor of x's shape. A place takes the places of the other blocks that stand in them where
        it stands in its own.
    """
    _, height, width, channels = ops.shape(x)
    groups, blocks = p.shape[1:3]
    of_group = channels // groups
    x = ops.reshape(x, (-1, blocks, height // blocks * width, groups, of_group))
    x = ops.transpose(x, (0, 3, 1, 2, 4))
    x = ops.reshape(x, (-1, groups, blocks, height // blocks * width * of_group))
    x = ops.matmul(p, x)
    x = ops.reshape(x, (-1, groups, height, blocks, width // blocks * of_group))
    x = ops.transpose(x, (0, 1, 3, 2, 4))
    x = ops.reshape(x, (-1, groups, blocks, height * (width // blocks) * of_group))
    x = ops.matmul(ops.transpose(q, (0, 1, 3, 2)), x)
    x = ops.reshape(x, (-1, groups, blocks, height, width // blocks, of_group))
    x = ops.transpose(x, (0, 3, 2, 4, 1, 5))
    return ops.reshape(x, (-1, height, width, channels))


def greatest_of_block(x: Tensor) -> Tensor:
    """The maximum of each block, (B, k, M, G) -> (B, k, G); its gradient goes to one place.

    JAX's of a maximum goes to all that equal it. Where XLA computes x once more for that, and
    rounds otherwise, there may be none, and the gradient is NaN.
    """
    greatest, _ = ops.top_k(ops.transpose(x, (0, 1, 3, 2)), 1)
    return greatest[..., 0]


def normalized_sigmoid(x: Tensor, axis: int) -> Tensor:
    """sigmoid(x) by its sum along an axis, also where all of these are 0 in float32."""
    if x.shape[axis] == 1:
        return ops.ones_like(x)
    return ops.softmax(ops.log_sigmoid(x), axis=axis)


@keras.saving.register_keras_serializable(package="keras_attn")
class BilinearAttention(ComposedAttentionLayer):
    """BAT: rows and columns of blocks are mixed by two small matrices, which the map itself gives.

    [Chi et al., "Non-Local Neural Networks with Grouped Bilinear Attentional Transforms", CVPR
    2020](https://openaccess.thecvf.com/content_CVPR_2020/html/Chi_Non-Local_Neural_Networks_With_Grouped_Bilinear_Attentional_Transforms_CVPR_2020_paper.html),
    as timm's `BatNonLocalAttn`, which is adapted from the authors' code. With f = relu(bn(conv1x1))
    and k x k blocks of places:

        z = f(x)                                         # (B, H, W, C / r)
        g = f(z)                                         # (B, H, W, G)
        P = normalized sigmoid(conv(max of each block of rows of g))       # (B, G, k, k)
        Q = normalized sigmoid(conv(max of each block of columns of g))    # (B, G, k, k)
        y = x + dropout(f(f(P z Q)))                     # each of the G groups of z with its own

    P's rows and Q's columns sum to 1. All but the output is computed in float32 (or wider) under
    16-bit policies.

    Args:
        ratio: Positive integer r; z has `C // ratio` channels.
        block_number: Positive integer k, the blocks down and across; it must divide H and W.
        groups: Positive integer G.
        bottleneck_divisor: Positive integer; from 2 on, `C / ratio` is rounded to the nearest
            multiple of it, as in timm, which has 8.
        dropout: Share of the channels that are left out in training, from 0 to 1; timm's is 0.2.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics, and channels are dropped.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C); H and W are divisible by k.

    Output shape:
        As the input; the attention, float32, has shape (B, G, k k, k k): the block that is made and
        the one that it is made of, row by row.

    Raises:
        ValueError: Where an argument is out of its range, or H, W or the channels can't be divided.

    Example:

    >>> layer = keras_attn.layers.BilinearAttention(block_number=2)
    >>> y, attention = layer(np.ones((2, 4, 6, 32), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([2, 4, 6, 32]), TensorShape([2, 2, 4, 4]))
    """

    attention_form = "map"
    starts_as = "new_map"

    def __init__(
        self,
        ratio: int = 4,
        *,
        block_number: int = 7,
        groups: int = 2,
        bottleneck_divisor: int = 1,
        dropout: float = 0.2,
        kernel_initializer: Initializer = "he_normal",
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
        self.ratio = check_positive_int("ratio", ratio)
        self.block_number = check_positive_int("block_number", block_number)
        self.groups = check_positive_int("groups", groups)
        self.bottleneck_divisor = check_positive_int("bottleneck_divisor", bottleneck_divisor)
        if not 0 <= dropout < 1:
            raise ValueError(
                f"`dropout` must be at least 0 and less than 1. Received: dropout={dropout!r}"
            )
        self.dropout = dropout

    def build(self, input_shape: Shape) -> None:
        """Makes the projections for C channels, and the two convolutions over blocks."""
        channels = self._channels(input_shape)
        self._check_size(input_shape)
        inner = bottleneck_width(
            channels, self.ratio, input_shape, divisor=self.bottleneck_divisor, least_share=0.9
        )
        check_groups(self.groups, inner, input_shape)
        exact = {"data_format": "channels_last", "dtype": self.attention_policy}
        self.parts = {}
        for name, inputs, units in (
            ("reduce", channels, inner),
            ("pool", inner, self.groups),
            ("mix", inner, inner),
            ("expand", inner, channels),
        ):
            dense = self._dense(name, units, use_bias=False, dtype=self.attention_policy)
            norm = built(self._batch_norm(f"{name}_bn", **exact), (None, None, None, units))
            self.parts[name] = (built(dense, (None, None, None, inputs)), norm)
        blocks = self.block_number
        weights = blocks**2 * self.groups
        # A convolution over all blocks of a line is a product.
        line = blocks * self.groups
        self.rows, self.columns = (
            built(self._dense(name, weights, dtype=self.attention_policy), (None, line))
            for name in ("rows", "columns")
        )
        self.drop = keras.layers.SpatialDropout2D(self.dropout, name="drop", **exact)
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the input plus what was mixed, or `(outputs, attention)`."""
        self._check_size(inputs.shape)
        x = self._to_last(self._wide(inputs))

        def projected(name: str, x: Tensor) -> Tensor:
            dense, norm = self.parts[name]
            return ops.relu(norm(dense(x), training=training))

        z = projected("reduce", x)
        p, q = self._weights(projected("pool", z))  # (B, G, k, k)
        mixed = projected("mix", bilinear_transform(z, p, q))
        mixed = self.drop(projected("expand", mixed), training=training)
        outputs = ops.cast(self._from_last(x + mixed), self.compute_dtype)
        if not return_attention:
            return outputs
        # From block (j, l) to block (i, m): P_ij Q_lm.
        attention = ops.einsum("bgij,bglm->bgimjl", p, q)
        places = self.block_number**2
        return outputs, ops.reshape(attention, (-1, self.groups, places, places))

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, G, k k, k k)."""
        places = self.block_number**2
        return (input_shape[0], self.groups, places, places)

    def attention_by_place(
        self,
        attention: Any,
        output_shape: tuple[Any, ...],
        query: tuple[int, int] | None = None,
    ) -> Any:
        """What each block receives, or the query's block pays: (B, k, k)."""
        blocks = (self.block_number,) * 2
        if query is None:
            by_block = ops.mean(attention, axis=(1, 2))
        else:
            row, column = check_query(query, blocks)
            by_block = ops.mean(attention[:, :, row * blocks[1] + column], axis=1)
        return ops.reshape(by_block, (-1, *blocks))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "block_number": self.block_number,
            "groups": self.groups,
            "bottleneck_divisor": self.bottleneck_divisor,
            "dropout": self.dropout,
        }

    def _weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """P and Q from the pooled map, (B, H, W, G)."""
        _, height, width, groups = ops.shape(x)
        blocks = self.block_number
        rows = ops.reshape(x, (-1, blocks, height // blocks * width, groups))
        columns = ops.reshape(x, (-1, height, blocks, width // blocks, groups))
        columns = ops.transpose(columns, (0, 2, 1, 3, 4))
        columns = ops.reshape(columns, (-1, blocks, height * (width // blocks), groups))
        line = (-1, blocks * groups)
        p = self.rows(ops.reshape(greatest_of_block(rows), line))  # (B, G k k)
        q = self.columns(ops.reshape(greatest_of_block(columns), line))
        p, q = (ops.reshape(each, (-1, groups, blocks, blocks)) for each in (p, q))
        return normalized_sigmoid(p, axis=3), normalized_sigmoid(q, axis=2)

    def _check_size(self, input_shape: Shape) -> None:
        sides = self._spatial(tuple(input_shape))
        if any(isinstance(side, int) and side % self.block_number for side in sides):
            raise ValueError(
                "`block_number` must divide the input's height and width. "
                f"Received: block_number={self.block_number}, input_shape={tuple(input_shape)}"
            )
