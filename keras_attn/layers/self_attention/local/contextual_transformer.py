"""The contextual transformer block, CoT (Li et al., TPAMI 2022)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_odd, check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._validation import check_groups
from keras_attn.layers.gates.branch.split_attention import radix_softmax
from keras_attn.layers.gates.channel.squeeze_excite import squeeze
from keras_attn.layers.self_attention.local.outlook_attention import unfold
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor

SHARED = 8  # channels that have the same local weights
GROUP_NORM_EPSILON = 1e-5
MIN_BOTTLENECK_CHANNELS = 32  # the authors'


def local_sum(values: Tensor, weights: Tensor, side: int) -> Tensor:
    """Each place's weighted sum over its window.

    Args:
        values: Tensor of shape (B, H, W, F).
        weights: Tensor of shape (B, H, W, F / 8, k k). Channel c takes those of c % (F / 8).
        side: k, the odd side of a window.

    Returns:
        Tensor of shape (B, H, W, F).
    """
    seen = unfold(values, side, 1)  # (B, H, W, k k, F)
    _, height, width, places, filters = ops.shape(seen)
    number = weights.shape[-2]
    seen = ops.reshape(seen, (-1, height, width, places, filters // number, number))
    summed = ops.einsum("bhwpsg,bhwgp->bhwsg", seen, weights)
    return ops.reshape(summed, (-1, height, width, filters))


@keras.saving.register_keras_serializable(package="keras_attn")
class ContextualTransformer(ComposedAttentionLayer):
    """The CoT block: a convolution gives static context, and with the input the local weights.

    [Li et al., "Contextual Transformer Networks for Visual Recognition", 2021](
    https://arxiv.org/abs/2107.12292), equations 5 and 6, as the authors' `CotLayer`:

        k1 = relu(bn(conv_kxk(x)))                              # static context, in groups
        w  = gn(W2 relu(bn(W1 [x; k1])) + b2)                   # (B, H, W, F / 8, k^2)
        k2 = silu(bn(sum over the window of w v)), v = bn(W_v x)  # dynamic context
        y  = a_1 k2 + a_2 k1, a = softmax over both of an MLP of mean(k1 + k2)

    The weights w aren't passed through a softmax: gn normalizes those of each eighth channel over
    the window and all places. The paper adds both contexts by an attention that it leaves open; in
    the code it is that of a selective kernel, whose softmax is returned as the attention. The
    layer has the ends of its convolutions inside: no BatchNormalization follows. W1, w, gn, the
    local sum and the last mean run in float32 (or wider) under 16-bit policies.

    Args:
        filters: Positive integer F, divisible by 8; `None` takes C.
        kernel_size: Positive odd integer k.
        static_groups: Positive integer, the groups of the static context's convolution.
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
        (B, H, W, filters); the attention, float32, has shape (B, 2, filters): of the dynamic
        context, and of the static one.

    Raises:
        ValueError: Where an argument is out of its range, or channels can't be divided.

    Example:

    >>> layer = keras_attn.layers.ContextualTransformer()
    >>> y, attention = layer(np.ones((2, 7, 5, 16), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([2, 7, 5, 16]), TensorShape([2, 2, 16]))
    """

    attention_form = "channel_gate"
    starts_as = "new_map"

    def __init__(
        self,
        filters: int | None = None,
        *,
        kernel_size: int = 3,
        static_groups: int = 4,
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
        self.filters = None if filters is None else check_positive_int("filters", filters)
        self.kernel_size = check_odd("kernel_size", kernel_size)
        self.static_groups = check_positive_int("static_groups", static_groups)

    def build(self, input_shape: Shape) -> None:
        """Makes both contexts and the bottleneck for C channels."""
        channels = self._channels(input_shape)
        filters = self.filters or channels
        check_groups(self.static_groups, channels, input_shape)
        if filters % SHARED or filters % self.static_groups:
            raise ValueError(
                f"The filters must be divisible by {SHARED} and by `static_groups`. "
                f"Received: filters={filters}, static_groups={self.static_groups}"
            )
        exact = {"data_format": "channels_last", "dtype": self.attention_policy}
        static = self._conv2d(
            "static_conv",
            filters,
            self.kernel_size,
            padding="same",
            groups=self.static_groups,
            use_bias=False,
            data_format="channels_last",
        )
        any_size = (None, None, None)
        self.static_conv = built(static, (*any_size, channels))
        self.static_bn = self._norm("static_bn", filters, data_format="channels_last")
        plain = {"use_bias": False, "dtype": self.attention_policy}

        half, number = filters // 2, filters // SHARED
        self.embed = built(self._dense("embed", half, **plain), (*any_size, channels + filters))
        self.embed_bn = self._norm("embed_bn", half, **exact)
        local = self._dense("local", number * self.kernel_size**2, dtype=self.attention_policy)
        self.local = built(local, (*any_size, half))
        shape = (number, self.kernel_size**2)
        self.local_gamma = self.add_weight(
            name="local_gamma", shape=shape, initializer="ones", autocast=False
        )
        self.local_beta = self.add_weight(
            name="local_beta", shape=shape, initializer="zeros", autocast=False
        )
        self.value = built(self._dense("value", filters, **plain), (*any_size, channels))
        self.value_bn = self._norm("value_bn", filters, **exact)
        self.dynamic_bn = self._norm("dynamic_bn", filters, **exact)

        width = max(half, MIN_BOTTLENECK_CHANNELS)
        reduce = self._dense("reduce", width, dtype=self.attention_policy)
        self.reduce = built(reduce, (None, 1, 1, filters))
        self.reduce_bn = self._norm("reduce_bn", width, **exact)
        select = self._dense("select", 2 * filters, dtype=self.attention_policy)
        self.select = built(select, (None, 1, 1, width))
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the mixed contexts, or `(outputs, attention)`."""
        x = self._to_last(inputs)
        static = ops.relu(self.static_bn(self.static_conv(x), training=training))
        x, static = self._wide(x), self._wide(static)
        weights = self._local_weights(x, static, training)
        values = self.value_bn(self.value(x), training=training)
        dynamic = local_sum(values, weights, self.kernel_size)
        dynamic = ops.silu(self.dynamic_bn(dynamic, training=training))  # (B, H, W, F)

        pooled = squeeze(static + dynamic, "average", (1, 2))[:, None, None]
        hidden = ops.relu(self.reduce_bn(self.reduce(pooled), training=training))
        logits = self.select(hidden)[:, 0, 0]  # (B, F 2): both of a channel side by side
        filters = logits.shape[-1] // 2
        attention = radix_softmax(logits, 2, filters)  # (B, 2, F)
        outputs = dynamic * attention[:, 0, None, None] + static * attention[:, 1, None, None]
        outputs = ops.cast(self._from_last(outputs), self.compute_dtype)
        return (outputs, attention) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, filters)."""
        filters = self.filters or self._channels(input_shape)
        return self._image_shape(input_shape[0], self._spatial(input_shape), filters)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, 2, filters)."""
        return (input_shape[0], 2, self.filters or self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "static_groups": self.static_groups,
        }

    def _norm(self, name: str, channels: int, **options: Any) -> Any:
        return built(self._batch_norm(name, **options), (None, None, None, channels))

    def _local_weights(self, x: Tensor, static: Tensor, training: bool | None) -> Tensor:
        """(B, H, W, F / 8, k k)."""
        both = ops.concatenate([x, static], axis=-1)
        hidden = ops.relu(self.embed_bn(self.embed(both), training=training))
        weights = self.local(hidden)
        _, height, width, _ = ops.shape(weights)
        shape = self.local_gamma.shape
        weights = ops.reshape(weights, (-1, height, width, *shape))
        mean = ops.mean(weights, axis=(1, 2, 4), keepdims=True)
        variance = ops.mean(ops.square(weights - mean), axis=(1, 2, 4), keepdims=True)
        weights = (weights - mean) * ops.rsqrt(variance + GROUP_NORM_EPSILON)
        return self._wide(self.local_gamma) * weights + self._wide(self.local_beta)
