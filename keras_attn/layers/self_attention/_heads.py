"""What the layers share that project to keys, queries and values and know relative positions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_divisible, check_positive_int
from keras_attn.layers._base import ProjectingAttentionLayer, clone_initializer
from keras_attn.layers.self_attention.self_attention_2d import split_heads
from keras_attn.typing import Initializer, Shape, Tensor


class RelativeHeadsLayer(ProjectingAttentionLayer):
    """Base of the attention layers with heads, one k, q, v projection and two relative tables.

    Its weights are those of `SelfAttention2D`, but for the output's projection, which neither
    BoTNet nor HaloNet has.

    Args:
        num_heads: Positive integer N.
        key_depth: Positive integer dk, the depth of keys and queries over all heads.
        value_depth: Positive integer dv, the depth of values and of the output over all heads.
        scale_positions: Whether `d**-0.5` scales the positions' logits as well as the keys'.
        relative_initializer: Initializer of the tables; `None` is N(0, d**-0.5).
        **kwargs: Arguments of `ProjectingAttentionLayer`.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        key_depth: int,
        value_depth: int,
        scale_positions: bool,
        relative_initializer: Initializer,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive_int("num_heads", num_heads)
        self.key_depth = check_divisible("key_depth", key_depth, "num_heads", num_heads)
        self.value_depth = check_divisible("value_depth", value_depth, "num_heads", num_heads)
        self.scale_positions = scale_positions
        self.relative_initializer = keras.initializers.get(relative_initializer)

    @property
    def key_dim(self) -> int:
        """The depth of a key per head."""
        return self.key_depth // self.num_heads

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, value_depth)."""
        return self._image_shape(input_shape[0], self._spatial(input_shape), self.value_depth)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_depth": self.key_depth,
            "value_depth": self.value_depth,
            "scale_positions": self.scale_positions,
            "relative_initializer": keras.initializers.serialize(self.relative_initializer),
        }

    def _build_projection(self, channels: int) -> None:
        depth = 2 * self.key_depth + self.value_depth
        # autocast=False: what makes logits stays exact, see `_project`.
        self.kqv_kernel = self._add_kernel("kqv_kernel", (channels, depth), autocast=False)
        if self.use_bias:
            self.kqv_bias = self._add_bias("kqv_bias", depth, autocast=False)

    def _build_table(self, name: str, rows: int) -> Tensor:
        initializer = self.relative_initializer or keras.initializers.RandomNormal(
            stddev=self.key_dim**-0.5
        )
        return self.add_weight(
            name=name,
            shape=(rows, self.key_dim),
            initializer=clone_initializer(initializer),
            autocast=False,
        )

    def _project(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, queries and values, (B, N, H, W, d), scaled for the logits q . k + q . r.

        All in `attention_dtype`: the logits of large inputs are beyond float16's range, and a
        key rounded to 16 bits moves them by more than 1.
        """
        inputs = ops.cast(inputs, self.attention_dtype)
        if self.data_format == "channels_first":
            inputs = ops.transpose(inputs, (0, 2, 3, 1))
        kqv = ops.matmul(inputs, self.kqv_kernel)  # (B, H, W, 2 dk + dv)
        if self.use_bias:
            kqv = ops.add(kqv, self.kqv_bias)
        k, q, v = ops.split(kqv, (self.key_depth, 2 * self.key_depth), axis=-1)
        # A scaled q scales both products that it enters, a scaled k only its own.
        scale = self.key_dim**-0.5
        if self.scale_positions:
            q = ops.multiply(q, scale)
        else:
            k = ops.multiply(k, scale)
        k, q, v = (split_heads(x, self.num_heads) for x in (k, q, v))
        return k, q, v

    def _tables(self) -> tuple[Tensor, Tensor]:
        width, height = self.relative_width, self.relative_height
        return ops.cast(width, self.attention_dtype), ops.cast(height, self.attention_dtype)
