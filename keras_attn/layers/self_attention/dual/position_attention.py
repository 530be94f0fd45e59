"""DANet's position attention (Fu et al., CVPR 2019)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_choice
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.layers.self_attention._memory import (
    IMPLEMENTATIONS,
    check_map_size,
    chosen_chunk,
)
from keras_attn.layers.self_attention._softmax import softmax_places
from keras_attn.layers.self_attention.chunked_attention import attend
from keras_attn.layers.self_attention.fused_attention import attend_fused
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class PositionAttention(ComposedAttentionLayer):
    """DANet's position attention: each place plus a weighted sum over all places.

    [Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019](
    https://arxiv.org/abs/1809.02983), equations 1 and 2, as the authors' `PAM_Module`:

        s_ij = softmax_j(q_i . k_j)       # q and k have C / 8 channels, v has C
        y_i  = gamma sum_j s_ij v_j + x_i

    gamma is one number that starts at 0: a fresh layer is the identity. The products aren't
    scaled. All but the output is computed in float32 (or wider) under 16-bit policies.

    The map of (H W)^2 weights is held whole where it takes at most 1 MiB; above, or where H and W
    are unknown, it is taken in chunks, as in `SelfAttention2D`, and the backward pass makes it
    again. `return_attention` always makes the whole map.

    Args:
        ratio: Positive integer r; queries and keys have `C // ratio` channels.
        implementation: `"auto"`, `"full"`, `"chunked"` or `"fused"`, see `SelfAttention2D`.
        max_logits_bytes: Positive integer, the logits that `"chunked"` has in memory at a time;
            `None` is 20 MiB. Given, it bounds one image's map for `return_attention` as well,
            which otherwise may take 1 GiB.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        As the input; the attention, float32, has shape (B, 1, H W, H W): the query's place and the
        key's, row by row.

    Raises:
        ValueError: Where an argument is out of its range, `C // ratio` is 0, `max_logits_bytes`
            can't hold one query's logits, or the map asked for is over its bound.

    Example:

    >>> layer = keras_attn.layers.PositionAttention()
    >>> y, attention = layer(np.ones((2, 4, 6, 32), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([2, 4, 6, 32]), TensorShape([2, 1, 24, 24]))
    """

    attention_form = "map"
    starts_as = "identity"

    def __init__(
        self,
        ratio: int = 8,
        *,
        implementation: str = "auto",
        max_logits_bytes: int | None = None,
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
        self.implementation = check_choice("implementation", implementation, IMPLEMENTATIONS)
        if max_logits_bytes is not None:
            check_positive_int("max_logits_bytes", max_logits_bytes)
        self.max_logits_bytes = max_logits_bytes

    def build(self, input_shape: Shape) -> None:
        """Makes the projections for C channels, and gamma."""
        channels = self._channels(input_shape)
        width = bottleneck_width(channels, self.ratio, input_shape)
        self.query, self.key, self.value = (
            built(self._dense(name, units, dtype=self.attention_policy), (None, None, channels))
            for name, units in (("query", width), ("key", width), ("value", channels))
        )
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros", autocast=False)
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the input plus what it gathered, or `(outputs, attention)`."""
        x = self._to_last(self._wide(inputs))
        _, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (-1, height * width, channels))  # (B, M, C)
        q, v = self.query(x), self.value(x)
        keys = ops.transpose(self.key(x), (0, 2, 1))  # (B, c, M)
        attention: Tensor = None
        memory: dict[str, Any] = {
            "implementation": self.implementation,
            "max_logits_bytes": self.max_logits_bytes,
            "logit_bytes": 8 if self.attention_dtype == "float64" else 4,
        }
        if return_attention:
            check_map_size((height, width), 1, **memory)
            attention = softmax_places(ops.matmul(q, keys))
            gathered = ops.matmul(attention, v)
        elif self.implementation == "fused" and keras.backend.backend() != "tensorflow":
            gathered = attend_fused(q, keys, v)
        else:
            gathered = attend(q, keys, v, chunk=chosen_chunk(height * width, 1, **memory))
        outputs = self._wide(self.gamma) * gathered + x
        outputs = ops.reshape(outputs, (-1, height, width, channels))
        outputs = ops.cast(self._from_last(outputs), self.compute_dtype)
        return (outputs, attention[:, None]) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, 1, H W, H W)."""
        height, width = self._spatial(input_shape)
        places = None if height is None or width is None else height * width
        return (input_shape[0], 1, places, places)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "implementation": self.implementation,
            "max_logits_bytes": self.max_logits_bytes,
        }
