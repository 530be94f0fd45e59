"""Criss-cross attention (Huang et al., ICCV 2019)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers.contract import check_query
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

MASKED = -3e38  # less than any logit that float32 has elsewhere


def criss_cross_weights(q: Tensor, k: Tensor) -> Tensor:
    """The softmax of each place over its column and its row.

    Args:
        q: Queries, (B, H, W, d).
        k: Keys, (B, H, W, d).

    Returns:
        Tensor of shape (B, H, W, H + W): the column's places, then the row's. A place itself
        stands in its row alone.
    """
    _, height, _, _ = ops.shape(q)
    column = ops.einsum("bhwd,bkwd->bhwk", q, k)  # (B, H, W, H)
    row = ops.einsum("bhwd,bhkd->bhwk", q, k)  # (B, H, W, W)
    places = ops.arange(height)
    itself = ops.equal(places[:, None], places[None])[:, None]  # (H, 1, H)
    column = ops.where(itself, ops.cast(MASKED, column.dtype), column)
    return ops.softmax(ops.concatenate([column, row], axis=-1), axis=-1)


@keras.saving.register_keras_serializable(package="keras_attn")
class CrissCrossAttention(ComposedAttentionLayer):
    """Criss-cross attention: each place attends to its row and its column, again and again.

    [Huang et al., "CCNet: Criss-Cross Attention for Semantic Segmentation", ICCV 2019](
    https://arxiv.org/abs/1811.11721), equations 1 and 2, as the authors' `CrissCrossAttention`:

        a_i = softmax over row and column of i of q_i . k_j     # q and k have C / 8 channels
        y_i = gamma sum over row and column of i of a_ij v_j + x_i

    Each place stands once in its own cross. The layer is applied `recurrence` times with the same
    weights: after two, each place has seen all, as in the paper, whose module is RCCA. gamma is one
    number that starts at 0: a fresh layer is the identity. H W (H + W) weights are in memory, not
    (H W)^2. All but the output is computed in float32 (or wider) under 16-bit policies.

    Args:
        ratio: Positive integer r; queries and keys have `C // ratio` channels.
        recurrence: Positive integer, how often the attention is applied.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, attention)`, that of the last time.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the attention, float32, has shape (B, 1, H, W, H + W) in both data formats:
        for each place the weights of its column, top to bottom, and then of its row.

    Raises:
        ValueError: Where an argument is no positive integer, or `C // ratio` is 0.

    Example:

    >>> layer = keras_attn.layers.CrissCrossAttention()
    >>> y, attention = layer(np.ones((2, 4, 6, 32), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([2, 4, 6, 32]), TensorShape([2, 1, 4, 6, 10]))
    """

    attention_form = "map"
    starts_as = "identity"

    def __init__(
        self,
        ratio: int = 8,
        *,
        recurrence: int = 2,
        kernel_initializer: Initializer = "glorot_uniform",
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
        self.recurrence = check_positive_int("recurrence", recurrence)

    def build(self, input_shape: Shape) -> None:
        """Makes the projections for C channels, and gamma."""
        channels = self._channels(input_shape)
        width = bottleneck_width(channels, self.ratio, input_shape)
        shape = (None, None, None, channels)
        self.query, self.key, self.value = (
            built(self._dense(name, units, dtype=self.attention_policy), shape)
            for name, units in (("query", width), ("key", width), ("value", channels))
        )
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros", autocast=False)
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the input plus what it gathered, or `(outputs, attention)`."""
        x = self._to_last(self._wide(inputs))
        height = ops.shape(x)[1]
        gamma = self._wide(self.gamma)
        attention: Tensor = None
        for _ in range(self.recurrence):
            v = self.value(x)
            attention = criss_cross_weights(self.query(x), self.key(x))  # (B, H, W, H + W)
            column, row = attention[..., :height], attention[..., height:]
            gathered = ops.einsum("bhwk,bkwc->bhwc", column, v)
            gathered = gathered + ops.einsum("bhwk,bhkc->bhwc", row, v)
            x = gamma * gathered + x
        outputs = ops.cast(self._from_last(x), self.compute_dtype)
        return (outputs, attention[:, None]) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, 1, H, W, H + W)."""
        height, width = self._spatial(input_shape)
        both = None if height is None or width is None else height + width
        return (input_shape[0], 1, height, width, both)

    def attention_by_place(
        self,
        attention: Any,
        output_shape: tuple[Any, ...],
        query: tuple[int, int] | None = None,
    ) -> Any:
        """What each place receives from its column and its row, or the query pays: (B, H, W)."""
        height, width = size = self._spatial(output_shape)
        attention = ops.mean(attention, axis=1)
        column, row = attention[..., :height], attention[..., height:]
        if query is None:
            column = ops.transpose(ops.sum(column, axis=1), (0, 2, 1))  # (B, H, W)
            row = ops.sum(row, axis=2)  # (B, H, W)
            return (column + row) / ops.cast(height * width, attention.dtype)
        y, x = check_query(query, size)
        in_row, in_column = (
            ops.cast(ops.equal(ops.arange(side), place), attention.dtype)
            for side, place in zip(size, (y, x), strict=True)
        )
        paid = column[:, y, x, :, None] * in_column  # (B, H, W)
        return paid + in_row[:, None] * row[:, y, x, None]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "ratio": self.ratio, "recurrence": self.recurrence}
