"""Attention augmented convolution (Bello et al., ICCV 2019)."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_non_negative_int, check_pair, check_positive_int
from keras_attn.layers._base import ProjectingAttentionLayer, clone_initializer
from keras_attn.layers._shapes import ceil_div
from keras_attn.layers._validation import check_choice
from keras_attn.layers.building_blocks.average_pool import average_pool_same
from keras_attn.layers.building_blocks.resize import resize_bilinear
from keras_attn.layers.self_attention._memory import IMPLEMENTATIONS
from keras_attn.layers.self_attention.self_attention_2d import SelfAttention2D
from keras_attn.typing import Constraint, Initializer, Regularizer, Shape, Size, Tensor


def depths_from_ratios(
    filters: int, kappa: float, upsilon: float, num_heads: int, min_key_dim: int = 20
) -> tuple[int, int]:
    """The depths of keys and values that the paper's ratios stand for.

    dk = max(N floor(kappa F / N), min_key_dim N) and dv = N floor(upsilon F / N), the
    rounding that reproduces the parameter counts of the paper's tables.

    Args:
        filters: F, the filters of the whole augmented convolution.
        kappa: dk / F, in (0, 1].
        upsilon: dv / F, in [0, 1].
        num_heads: N.
        min_key_dim: Least depth of a key per head.

    Returns:
        `(key_depth, value_depth)`.

    Raises:
        ValueError: Where a ratio is out of its range, or `upsilon > 0` would round to no
            attention at all.

    Example:

    >>> depths_from_ratios(512, kappa=0.2, upsilon=0.1, num_heads=8)
    (160, 48)
    """
    check_positive_int("filters", filters)
    check_positive_int("num_heads", num_heads)
    check_positive_int("min_key_dim", min_key_dim)
    if not 0 < kappa <= 1:
        raise ValueError(f"`kappa` must be in (0, 1]. Received: kappa={kappa}")
    if not 0 <= upsilon <= 1:
        raise ValueError(f"`upsilon` must be in [0, 1]. Received: upsilon={upsilon}")
    key_depth = max(_floor_to_multiple(kappa * filters, num_heads), min_key_dim * num_heads)
    value_depth = _floor_to_multiple(upsilon * filters, num_heads)
    if upsilon > 0 and value_depth == 0:
        raise ValueError(
            "`upsilon` must leave every head at least one value channel: upsilon * filters must "
            "be at least num_heads, or upsilon 0 for a plain convolution. "
            f"Received: upsilon={upsilon}, filters={filters}, num_heads={num_heads}"
        )
    return key_depth, value_depth


def _floor_to_multiple(value: float, divisor: int) -> int:
    # The small allowance keeps 0.7 * 10 = 6.999... at 7.
    return divisor * math.floor(value / divisor + 1e-9)


@keras.saving.register_keras_serializable(package="keras_attn")
class AugmentedConv2D(ProjectingAttentionLayer):
    """Attention augmented convolution: a convolution and self-attention side by side.

    [Bello et al., "Attention Augmented Convolutional Networks", ICCV 2019](
    https://arxiv.org/abs/1904.09925), section 3.2, following the TensorFlow appendix:

        y = concat[conv(x), attention(x)]      # filters - dv, then dv channels

    The attention is a `SelfAttention2D`; its docstring says what happens at other map sizes than
    `table_size`. With `value_depth == filters` there is no convolution (fully attentional), with
    `value_depth == 0` no attention: a plain convolution that ignores `num_heads` and
    `key_depth`. In the paper a BatchNormalization follows, which learns to balance both parts.

    The paper does not say how an augmented convolution strides. Here a 3x3 average pool of that
    stride, `same`, comes before the k, q, v projection, so that attention runs at the output's
    resolution. `attention_strides` pools the attention's input further, and resizes its output
    bilinearly to the convolution's: the paper's way to save memory where maps are large.

    Args:
        filters: Positive integer F, the channels of the output.
        kernel_size: Size of the convolution's kernel, an integer or two.
        num_heads: Positive integer N.
        key_depth: Positive integer dk, the depth of keys and queries over all heads.
        value_depth: Integer dv in [0, filters], the depth of values over all heads.
        strides: Strides of the whole layer, an integer or two.
        dilation_rate: Dilation of the convolution, an integer or two.
        attention_strides: Further strides inside the attention, undone behind it.
        relative: Whether attention uses relative positions.
        table_size: `(height, width)` of the attention's map for which the tables are made. By
            default the size at build, after the strides; required where that is unknown.
        use_bias: Whether the convolution and both projections have a bias.
        kernel_initializer: Initializer of all kernels.
        bias_initializer: Initializer of all biases.
        relative_initializer: Initializer of the tables; `None` is N(0, (dk / N)**-0.5).
        implementation: `"auto"`, `"full"`, `"chunked"` or `"fused"`; see `SelfAttention2D`.
        max_logits_bytes: Memory for logits at a time; see `SelfAttention2D`.
        kernel_regularizer: Regularizer of all kernels.
        bias_regularizer: Regularizer of all biases.
        kernel_constraint: Constraint of all kernels.
        bias_constraint: Constraint of all biases.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W.

    Output shape:
        (B, ceil(H / stride), ceil(W / stride), filters). The attention, float32, has shape
        (B, N, M, M), where M counts the places of the attention's map, row by row.

    Raises:
        ValueError: Where an argument is out of its range, a depth is not divisible by
            `num_heads`, or `return_attention` is asked of a plain convolution.

    Example:

    >>> layer = keras_attn.layers.AugmentedConv2D(
    ...     16, 3, num_heads=2, key_depth=8, value_depth=4, strides=2)
    >>> y, attention = layer(np.ones((1, 8, 6, 3), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([1, 4, 3, 16]), TensorShape([1, 2, 12, 12]))
    """

    starts_as = "new_map"

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        *,
        num_heads: int,
        key_depth: int,
        value_depth: int,
        strides: int | tuple[int, int] = 1,
        dilation_rate: int | tuple[int, int] = 1,
        attention_strides: int | tuple[int, int] = 1,
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
        self.filters = check_positive_int("filters", filters)
        self.kernel_size = check_pair("kernel_size", kernel_size)
        self.num_heads = check_positive_int("num_heads", num_heads)
        self.key_depth = check_positive_int("key_depth", key_depth)
        self.value_depth = check_non_negative_int("value_depth", value_depth)
        if self.value_depth > self.filters:
            raise ValueError(
                "`value_depth` must not be greater than `filters`. "
                f"Received: value_depth={value_depth}, filters={filters}"
            )
        self.strides = check_pair("strides", strides)
        self.dilation_rate = check_pair("dilation_rate", dilation_rate)
        self.attention_strides = check_pair("attention_strides", attention_strides)
        self.relative = relative
        self.table_size = None if table_size is None else check_pair("table_size", table_size)
        self.relative_initializer = keras.initializers.get(relative_initializer)
        self.implementation = check_choice("implementation", implementation, IMPLEMENTATIONS)
        if max_logits_bytes is not None:
            check_positive_int("max_logits_bytes", max_logits_bytes)
        self.max_logits_bytes = max_logits_bytes

        projection: dict[str, Any] = dict(
            use_bias=use_bias,
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            data_format=self.data_format,
            dtype=self.dtype_policy,
        )
        self.convolution: Any = None
        if self.value_depth < self.filters:
            self.convolution = keras.layers.Conv2D(
                self.filters - self.value_depth,
                self.kernel_size,
                strides=self.strides,
                padding="same",
                dilation_rate=self.dilation_rate,
                kernel_initializer=clone_initializer(self.kernel_initializer),
                bias_initializer=clone_initializer(self.bias_initializer),
                name="convolution",
                **projection,
            )
        self.attention: SelfAttention2D | None = None
        if self.value_depth > 0:
            self.attention_form = "map"
            self.attention = SelfAttention2D(
                num_heads=self.num_heads,
                key_depth=self.key_depth,
                value_depth=self.value_depth,
                relative=self.relative,
                table_size=self.table_size,
                kernel_initializer=clone_initializer(self.kernel_initializer),
                bias_initializer=clone_initializer(self.bias_initializer),
                relative_initializer=self.relative_initializer,
                implementation=self.implementation,
                max_logits_bytes=self.max_logits_bytes,
                name="attention",
                **projection,
            )

    @classmethod
    def from_ratios(
        cls,
        filters: int,
        kernel_size: int | tuple[int, int],
        *,
        kappa: float,
        upsilon: float,
        num_heads: int,
        min_key_dim: int = 20,
        **kwargs: Any,
    ) -> AugmentedConv2D:
        """Makes the layer from the paper's ratios; see `depths_from_ratios` for the rounding.

        Args:
            filters: F, the channels of the output.
            kernel_size: Size of the convolution's kernel, an integer or two.
            kappa: dk / F, in (0, 1].
            upsilon: dv / F, in [0, 1].
            num_heads: N.
            min_key_dim: Least depth of a key per head, the paper's 20.
            **kwargs: The constructor's other arguments.

        Raises:
            ValueError: Where a ratio is out of its range, or `upsilon > 0` would round to a plain
                convolution.
        """
        key_depth, value_depth = depths_from_ratios(filters, kappa, upsilon, num_heads, min_key_dim)
        return cls(
            filters,
            kernel_size,
            num_heads=num_heads,
            key_depth=key_depth,
            value_depth=value_depth,
            **kwargs,
        )

    def build(self, input_shape: Shape) -> None:
        """Builds both branches."""
        channels = self._channels(input_shape)
        if self.convolution is not None:
            self.convolution.build(input_shape)
        if self.attention is not None:
            size = self._attention_size(input_shape)
            self.attention.build(self._image_shape(input_shape[0], size, channels))
        self.built = True

    def call(self, inputs: Tensor, return_attention: bool = False) -> Tensor:
        """Returns the concatenated branches, or `(outputs, attention)`."""
        if self.attention is None:
            if return_attention:
                raise ValueError(_NO_ATTENTION)
            return self.convolution(inputs)

        x = inputs
        for strides in (self.strides, self.attention_strides):
            if strides != (1, 1):
                x = average_pool_same(x, 3, strides, self.data_format)
        if return_attention:
            attended, attention = self.attention(x, return_attention=True)
        else:
            attended, attention = self.attention(x), None
        if self.attention_strides != (1, 1):
            size = _strided(self._spatial(ops.shape(inputs)), self.strides)
            attended = resize_bilinear(
                attended, size, align_corners=False, data_format=self.data_format
            )
        outputs = attended
        if self.convolution is not None:
            outputs = ops.concatenate([self.convolution(inputs), attended], axis=self.channel_axis)
        return (outputs, attention) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, ceil(H / stride), ceil(W / stride), filters)."""
        size = _strided(self._spatial(input_shape), self.strides)
        return self._image_shape(input_shape[0], size, self.filters)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, N, M, M) for the M places of the attention's map."""
        if self.attention is None:
            raise ValueError(_NO_ATTENTION)
        size = self._attention_size(input_shape)
        shape = self._image_shape(input_shape[0], size, self._channels(input_shape))
        return self.attention.compute_attention_shape(shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "num_heads": self.num_heads,
            "key_depth": self.key_depth,
            "value_depth": self.value_depth,
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
            "attention_strides": self.attention_strides,
            "relative": self.relative,
            "table_size": self.table_size,
            "relative_initializer": keras.initializers.serialize(self.relative_initializer),
            "implementation": self.implementation,
            "max_logits_bytes": self.max_logits_bytes,
        }

    def _shown_size(self, output_shape: tuple[Any, ...]) -> tuple[Any, Any]:
        return _strided(self._spatial(output_shape), self.attention_strides)

    def _attention_size(self, input_shape: Shape) -> tuple[Size, Size]:
        size = _strided(self._spatial(input_shape), self.strides)
        return _strided(size, self.attention_strides)


_NO_ATTENTION = "`return_attention` needs attention. Received: return_attention=True, value_depth=0"


def _strided(size: tuple[Size, Size], strides: tuple[int, int]) -> tuple[Size, Size]:
    height, width = (
        None if length is None else ceil_div(length, stride)
        for length, stride in zip(size, strides, strict=True)
    )
    return height, width
