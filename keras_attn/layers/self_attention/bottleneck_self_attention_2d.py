"""The self-attention of Bottleneck Transformers (Srinivas et al., CVPR 2021)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_pair
from keras_attn.layers.self_attention._heads import RelativeHeadsLayer
from keras_attn.layers.self_attention.self_attention_2d import attention_map
from keras_attn.typing import Constraint, Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class BottleneckSelfAttention2D(RelativeHeadsLayer):
    """Multi-head self-attention as BoTNet has it in place of a bottleneck's 3x3 convolution.

    [Srinivas et al., "Bottleneck Transformers for Visual Recognition", CVPR 2021](
    https://arxiv.org/abs/2101.11605), section 3 and figure 4:

        l_ij = q_i . k_j / sqrt(d) + q_i . (r^W[jx - ix] + r^H[jy - iy])
        O    = softmax(l) v

    It differs from `SelfAttention2D` in the positions' logits, which are not scaled, and in that
    no projection mixes the heads' outputs. With `scale_positions=True` the logits are those of
    `SelfAttention2D`. The paper's blocks have 4 heads, depths as the bottleneck's and no biases;
    where they stride, a 2x2 average pool follows.

    The tables are made for a map of `table_size`: a relative offset inside them is exact, and one
    beyond takes the edge row. All but the output is computed in float32 (or wider) under 16-bit
    policies.

    Args:
        num_heads: Positive integer N.
        key_depth: Positive integer dk, the depth of keys and queries over all heads.
        value_depth: Positive integer dv, the depth of values and of the output over all heads.
        scale_positions: Whether `d**-0.5` scales the positions' logits too.
        table_size: `(height, width)` of the map for which the tables are made, an integer or two.
            By default the size at build; required where that is unknown.
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
        (B, H, W, value_depth); the attention, float32, has shape (B, N, H W, H W), its last two
        axes being the query's and the key's place, row by row.

    Raises:
        ValueError: Where an argument is out of its range, a depth is not divisible by
            `num_heads`, or the tables' size is unknown.

    Example:

    >>> layer = keras_attn.layers.BottleneckSelfAttention2D(
    ...     num_heads=4, key_depth=16, value_depth=16)
    >>> y, attention = layer(np.ones((1, 5, 3, 16), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([1, 5, 3, 16]), TensorShape([1, 4, 15, 15]))
    """

    attention_form = "map"
    starts_as = "new_map"

    def __init__(
        self,
        *,
        num_heads: int,
        key_depth: int,
        value_depth: int,
        scale_positions: bool = False,
        table_size: int | tuple[int, int] | None = None,
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
        self.table_size = None if table_size is None else check_pair("table_size", table_size)

    def build(self, input_shape: Shape) -> None:
        """Makes the projection for C channels and the tables for `table_size`."""
        self._build_projection(self._channels(input_shape))
        height, width = self.table_size or self._spatial(input_shape)
        if height is None or width is None:
            raise ValueError(
                "`table_size` must be given where the input's height and width are unknown at "
                f"build. Received: table_size=None, input_shape={tuple(input_shape)}"
            )
        self.relative_width = self._build_table("relative_width", 2 * width - 1)
        self.relative_height = self._build_table("relative_height", 2 * height - 1)
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the attended map, or `(outputs, attention)`."""
        k, q, v = self._project(inputs)  # (B, N, H, W, d)
        attention = attention_map(q, k, self._tables(), self.attention_dtype)  # (B, N, H W, H W)

        _, heads, height, width, depth = ops.shape(v)
        v = ops.reshape(v, (-1, heads, height * width, depth))
        outputs = ops.cast(ops.matmul(attention, v), self.compute_dtype)  # (B, N, H W, dv / N)
        outputs = ops.transpose(outputs, (0, 2, 1, 3))
        outputs = ops.reshape(outputs, (-1, height, width, self.value_depth))
        if self.data_format == "channels_first":
            outputs = ops.transpose(outputs, (0, 3, 1, 2))
        return (outputs, attention) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, N, H W, H W)."""
        height, width = self._spatial(input_shape)
        places = None if height is None or width is None else height * width
        return (input_shape[0], self.num_heads, places, places)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "table_size": self.table_size}
