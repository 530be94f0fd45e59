"""ResNeSt's split-attention convolution (Zhang et al., CVPR workshops 2022)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_odd, check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.layers.gates.channel.squeeze_excite import squeeze
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


def radix_softmax(logits: Tensor, radix: int, groups: int) -> Tensor:
    """The weights of the R splits of each channel: (B, R F) -> (B, R, F).

    The logits stand group by group, and in a group split by split. One split has a sigmoid.
    """
    filters = logits.shape[-1] // radix
    logits = ops.reshape(logits, (-1, groups, radix, filters // groups))
    weights = ops.softmax(logits, axis=2) if radix > 1 else ops.sigmoid(logits)
    return ops.reshape(ops.transpose(weights, (0, 2, 1, 3)), (-1, radix, filters))


@keras.saving.register_keras_serializable(package="keras_attn")
class SplitAttention(ComposedAttentionLayer):
    """ResNeSt's split attention: a grouped convolution whose splits a softmax mixes per channel.

    [Zhang et al., "ResNeSt: Split-Attention Networks", 2020](https://arxiv.org/abs/2004.08955),
    equations 1 to 3 and its appendix, as the authors' `SplAtConv2d` and timm's `SplitAttn`. With R
    splits, the radix, and K groups, the cardinality:

        U_1, ..., U_R = relu(bn(conv3x3(x)))               # R K groups; R of (B, H, W, F)
        s = mean(U_1 + ... + U_R)                          # (B, F)
        a = softmax over splits of W2 relu(bn(W1 s + b1)) + b2     # (B, R, F); K groups
        y = a_1 U_1 + ... + a_R U_R

    The convolution has no bias. With a radix of 1 the softmax is a sigmoid. The mean, the
    bottleneck and the softmax run in float32 (or wider) under 16-bit policies.

    Args:
        filters: Positive integer F; `None` takes the number of input channels.
        kernel_size: Positive odd integer, the side of the convolution's kernel.
        strides: Positive integer, the convolution's strides. ResNeSt pools instead.
        radix: Positive integer R.
        groups: Positive integer K; the convolution has R K groups.
        ratio: Positive integer r; the bottleneck has `C * radix // ratio` channels.
        min_bottleneck_channels: Positive integer, the least the bottleneck has.
        bottleneck_divisor: Positive integer; from 2 on, `C * radix / ratio` is rounded to the
            nearest multiple of it, as in timm, which has 8: at least one, and no less than 0.9 of
            the quotient.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, attention)`.

    Input shape:
        (B, H, W, C), any H and W; C is divisible by R K.

    Output shape:
        (B, ceil(H / strides), ceil(W / strides), filters); the attention, float32, has shape
        (B, R, filters), its splits summing to 1.

    Raises:
        ValueError: Where an argument is out of its range, or channels can't be divided into groups.

    Example:

    >>> layer = keras_attn.layers.SplitAttention(24, strides=2)
    >>> y, attention = layer(np.ones((2, 7, 5, 16), "float32"), return_attention=True)
    >>> y.shape, attention.shape
    (TensorShape([2, 4, 3, 24]), TensorShape([2, 2, 24]))
    """

    attention_form = "channel_gate"
    starts_as = "new_map"

    def __init__(
        self,
        filters: int | None = None,
        *,
        kernel_size: int = 3,
        strides: int = 1,
        radix: int = 2,
        groups: int = 1,
        ratio: int = 4,
        min_bottleneck_channels: int = 32,
        bottleneck_divisor: int = 1,
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
        self.strides = check_positive_int("strides", strides)
        self.radix = check_positive_int("radix", radix)
        self.groups = check_positive_int("groups", groups)
        self.ratio = check_positive_int("ratio", ratio)
        self.min_bottleneck_channels = check_positive_int(
            "min_bottleneck_channels", min_bottleneck_channels
        )
        self.bottleneck_divisor = check_positive_int("bottleneck_divisor", bottleneck_divisor)

    def build(self, input_shape: Shape) -> None:
        """Makes the convolution and the bottleneck for C channels."""
        channels = self._channels(input_shape)
        filters = self.filters or channels
        all_filters, all_groups = self.radix * filters, self.radix * self.groups
        width = bottleneck_width(
            channels * self.radix,
            min(self.ratio, channels * self.radix),
            input_shape,
            divisor=self.bottleneck_divisor,
            least_share=0.9,
        )
        width = max(width, self.min_bottleneck_channels)
        if channels % all_groups or filters % self.groups or width % self.groups:
            raise ValueError(
                "`radix * groups` must divide the input's channels, and `groups` the filters and "
                f"the bottleneck. Received: radix={self.radix}, groups={self.groups}, "
                f"input_shape={tuple(input_shape)}, filters={filters}, {width} in the bottleneck"
            )
        # No weight depends on H and W, and `call` pads: a map may be smaller than the kernel.
        conv = self._conv2d(
            "conv",
            all_filters,
            self.kernel_size,
            strides=self.strides,
            groups=all_groups,
            use_bias=False,
        )
        any_size = (input_shape[0], (None, None))
        self.conv = built(conv, self._image_shape(*any_size, channels))
        self.bn = built(self._batch_norm("bn"), self._image_shape(*any_size, all_filters))
        # The pooled vectors are images (B, 1, 1, F) in both data formats.
        exact = {"data_format": "channels_last", "dtype": self.attention_policy}
        grouped = {"groups": self.groups, **exact}
        self.reduce = built(self._conv2d("reduce", width, **grouped), (None, 1, 1, filters))
        self.reduce_bn = built(self._batch_norm("reduce_bn", **exact), (None, 1, 1, width))
        self.select = built(self._conv2d("select", all_filters, **grouped), (None, 1, 1, width))
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the mixed splits, or `(outputs, attention)`."""
        side = self.kernel_size // 2
        widths = [(side, side) if axis in self.spatial_axes else (0, 0) for axis in range(4)]
        x = ops.relu(self.bn(self.conv(ops.pad(inputs, widths)), training=training))
        splits = ops.split(self._wide(x), self.radix, axis=self.channel_axis)

        pooled = squeeze(sum(splits[1:], start=splits[0]), "average", self.spatial_axes)  # (B, F)
        hidden = self.reduce_bn(self.reduce(pooled[:, None, None]), training=training)
        logits = self.select(ops.relu(hidden))[:, 0, 0]  # (B, R F)
        attention = radix_softmax(logits, self.radix, self.groups)  # (B, R, F)

        outputs = ops.zeros_like(splits[0])
        for i, split in enumerate(splits):
            outputs = outputs + split * ops.expand_dims(attention[:, i], self.spatial_axes)
        outputs = ops.cast(outputs, self.compute_dtype)
        return (outputs, attention) if return_attention else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, ceil(H / strides), ceil(W / strides), filters)."""
        size = tuple(
            None if side is None else -(-side // self.strides)
            for side in self._spatial(input_shape)
        )
        filters = self.filters or self._channels(input_shape)
        return self._image_shape(input_shape[0], size, filters)

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """(B, R, filters)."""
        return (input_shape[0], self.radix, self.filters or self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "radix": self.radix,
            "groups": self.groups,
            "ratio": self.ratio,
            "min_bottleneck_channels": self.min_bottleneck_channels,
            "bottleneck_divisor": self.bottleneck_divisor,
        }
