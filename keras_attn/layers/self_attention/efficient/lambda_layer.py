"""The lambda layer (Bello, ICLR 2021)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_divisible, check_odd, check_pair, check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers.self_attention._softmax import softmax_places
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class LambdaLayer(ComposedAttentionLayer):
    """The lambda layer: the context becomes a linear function for each place, and is no map.

    [Bello, "LambdaNetworks: Modeling Long-Range Interactions Without Attention", ICLR 2021](
    https://arxiv.org/abs/2102.08602), equations 1 and 2, with one value in depth (u = 1), as timm's
    `LambdaLayer`. With N queries of d numbers for each place, one key of d and one value of v:

        lambda_c   = sum over places m of softmax_m(k_m) v_m^T        # (d, v), the content's
        lambda_p,n = sum over places m of e_{m - n} v_m^T             # (d, v), the positions'
        y_n        = (lambda_c + lambda_p,n)^T q_n                    # each of the N queries

    Queries and values are normalized by BatchNormalization, the projection has no bias. The
    positions e are a kernel that slides over the values: of `scope` x `scope` places, where timm
    gives it a bias; or, with `scope=None`, a table of all offsets on a map of `table_size`.

    What is returned as attention are the keys' weights, which all queries share: what a place
    receives from the content. All is computed in float32 (or wider) under 16-bit policies.

    Args:
        num_heads: Positive integer N.
        key_dim: Positive integer d, the depth of queries and keys per head.
        value_depth: Positive integer N v, the depth of the output; `None` takes C.
        scope: Positive odd integer, the side of the neighbourhood that has positions; `None` is the
            whole map.
        table_size: `(height, width)` of the map for which the table of all offsets is made, an
            integer or two, where `scope` is `None`. By default the size at build; a map that is
            larger has no positions beyond these offsets.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        (B, H, W, value_depth); the attention, float32, has shape (B, H, W, d), each of the d
        summing to 1 over the places.

    Raises:
        ValueError: Where an argument is out of its range, the value depth is not divisible by
            `num_heads`, or the table's size is unknown.

    Example:

    >>> layer = keras_attn.layers.LambdaLayer(num_heads=4, key_dim=8, scope=5)
    >>> y, attention = layer(np.ones((1, 5, 3, 16), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([1, 5, 3, 16]), TensorShape([1, 5, 3, 8]))
    """

    attention_form = "place_gate"
    starts_as = "new_map"

    def __init__(
        self,
        *,
        num_heads: int = 4,
        key_dim: int = 16,
        value_depth: int | None = None,
        scope: int | None = 9,
        table_size: int | tuple[int, int] | None = None,
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
        self.num_heads = check_positive_int("num_heads", num_heads)
        self.key_dim = check_positive_int("key_dim", key_dim)
        if value_depth is not None:
            check_divisible("value_depth", value_depth, "num_heads", num_heads)
        self.value_depth = value_depth
        self.scope = None if scope is None else check_odd("scope", scope)
        self.table_size = None if table_size is None else check_pair("table_size", table_size)

    def build(self, input_shape: Shape) -> None:
        """Makes the projection for C channels, and the positions."""
        channels = self._channels(input_shape)
        depth = check_divisible(
            "value_depth", self.value_depth or channels, "num_heads", self.num_heads
        )
        exact = {"data_format": "channels_last", "dtype": self.attention_policy}
        queries, values = self.num_heads * self.key_dim, depth // self.num_heads
        qkv = self._dense(
            "qkv", queries + self.key_dim + values, use_bias=False, dtype=self.attention_policy
        )
        self.qkv = built(qkv, (None, None, None, channels))
        self.query_bn = built(self._batch_norm("query_bn", **exact), (None, None, None, queries))
        self.value_bn = built(self._batch_norm("value_bn", **exact), (None, None, None, values))
        positions = self._conv2d(
            "positions",
            self.key_dim,
            self._offsets(input_shape),
            padding="same",
            use_bias=self.scope is not None,
            **exact,
        )
        # Each of the values is an image of one channel.
        self.positions = built(positions, (None, None, None, 1))
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns what the lambdas make of the queries, or `(outputs, attention)`."""
        x = self._to_last(self._wide(inputs))
        _, height, width, _ = ops.shape(x)
        queries = self.num_heads * self.key_dim
        q, k, v = ops.split(self.qkv(x), (queries, queries + self.key_dim), axis=-1)
        q, v = self.query_bn(q, training=training), self.value_bn(v, training=training)
        values = v.shape[-1]
        q = ops.reshape(q, (-1, height, width, self.num_heads, self.key_dim))
        k = ops.transpose(ops.reshape(k, (-1, height * width, self.key_dim)), (0, 2, 1))
        keys = softmax_places(k)  # (B, d, M)
        content = ops.matmul(keys, ops.reshape(v, (-1, height * width, values)))  # (B, d, v)

        images = ops.reshape(ops.transpose(v, (0, 3, 1, 2)), (-1, height, width, 1))
        positions = self.positions(images)  # (B v, H, W, d)
        positions = ops.reshape(positions, (-1, values, height, width, self.key_dim))
        outputs = ops.einsum("bhwnd,bdv->bhwnv", q, content)
        outputs = outputs + ops.einsum("bhwnd,bvhwd->bhwnv", q, positions)
        outputs = ops.reshape(outputs, (-1, height, width, self.num_heads * values))
        outputs = ops.cast(self._from_last(outputs), self.compute_dtype)
        if not return_attention:
            return outputs
        keys = ops.reshape(ops.transpose(keys, (0, 2, 1)), (-1, height, width, self.key_dim))
        return outputs, self._from_last(keys)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, value_depth)."""
        depth = self.value_depth or self._channels(input_shape)
        return self._image_shape(input_shape[0], self._spatial(input_shape), depth)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, d)."""
        return self._image_shape(input_shape[0], self._spatial(input_shape), self.key_dim)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_depth": self.value_depth,
            "scope": self.scope,
            "table_size": self.table_size,
        }

    def _offsets(self, input_shape: Shape) -> tuple[int, int]:
        """How many offsets down and across have positions: the size of a kernel."""
        if self.scope is not None:
            return self.scope, self.scope
        height, width = self.table_size or self._spatial(input_shape)
        if height is None or width is None:
            raise ValueError(
                "`table_size` or `scope` must be given where the input's height and width are "
                f"unknown at build. Received: scope=None, input_shape={tuple(input_shape)}"
            )
        return 2 * height - 1, 2 * width - 1
