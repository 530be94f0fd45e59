"""The selective kernel convolution (Li et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.layers.gates.channel.squeeze_excite import squeeze
from keras_attn.typing import Initializer, Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class SelectiveKernel(ComposedAttentionLayer):
    """The selective kernel convolution: paths of several sizes, mixed by a softmax per channel.

    [Li et al., "Selective Kernel Networks", CVPR 2019](https://arxiv.org/abs/1903.06586),
    equations 1 to 6, its 5x5 path being a 3x3 kernel of dilation 2:

        U_p = relu(bn(conv3x3_p(x)))                       # (B, H, W, F), one for each path p
        s   = mean(sum_p U_p)                              # (B, F)
        a   = softmax over paths of B_p relu(bn(A s))      # (B, P, F)
        y   = sum_p a_p U_p

    No convolution or projection has a bias. The defaults are the paper's but for its 32 groups.
    timm's `SelectiveKernel` is `SelectiveKernel(split_input=True, bottleneck_divisor=8,
    min_bottleneck_channels=1)`; with `split_input` each path sees its share of the channels.

    The mean, the bottleneck and the softmax run in float32 (or wider) under 16-bit policies.

    Args:
        filters: Positive integer F; `None` takes the number of input channels.
        strides: Positive integer, the strides of the paths. It must divide each dilation rate
            greater than 1.
        dilation_rates: Two or more positive integers, a path each.
        groups: Positive integer, the groups of the paths' convolutions; the paper's networks
            have 32.
        split_input: Whether each path takes its own part of the channels, as in timm.
        ratio: Positive integer r; the bottleneck has `F // ratio` channels.
        min_bottleneck_channels: Positive integer, the least the bottleneck has: the paper's L.
        bottleneck_divisor: Positive integer; from 2 on, `F / ratio` is rounded to the nearest
            multiple of it, as in timm, which has 8: at least one, and no less than 0.9 of
            `F / ratio`.
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
        (B, ceil(H / strides), ceil(W / strides), filters); the attention, float32, has shape
        (B, P, filters), its P paths summing to 1.

    Raises:
        ValueError: Where an argument is out of its range, `strides` doesn't suit a dilation rate,
            or channels can't be divided into paths or groups.

    Example:

    >>> layer = keras_attn.layers.SelectiveKernel(24, strides=2)
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
        strides: int = 1,
        dilation_rates: Sequence[int] = (1, 2),
        groups: int = 1,
        split_input: bool = False,
        ratio: int = 16,
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
        self.strides = check_positive_int("strides", strides)
        self.dilation_rates = _check_dilation_rates(dilation_rates, self.strides)
        self.groups = check_positive_int("groups", groups)
        self.split_input = split_input
        self.ratio = check_positive_int("ratio", ratio)
        self.min_bottleneck_channels = check_positive_int(
            "min_bottleneck_channels", min_bottleneck_channels
        )
        self.bottleneck_divisor = check_positive_int("bottleneck_divisor", bottleneck_divisor)

    def build(self, input_shape: Shape) -> None:
        """Makes the paths and the bottleneck for C channels."""
        channels = self._channels(input_shape)
        filters = self.filters or channels
        paths = len(self.dilation_rates)
        if self.split_input and channels % paths:
            raise ValueError(
                "`split_input` needs a number of input channels that is divisible by the number "
                f"of paths. Received: split_input=True, dilation_rates={self.dilation_rates}, "
                f"input_shape={tuple(input_shape)}"
            )
        inputs_of_path = channels // paths if self.split_input else channels
        if inputs_of_path % self.groups or filters % self.groups:
            raise ValueError(
                "`groups` must divide the channels of each path and the filters. "
                f"Received: groups={self.groups}, {inputs_of_path} channels, filters={filters}"
            )
        # No weight depends on H and W, and `_strided` pads: a map may be smaller than a kernel.
        path_shape = self._image_shape(input_shape[0], (None, None), inputs_of_path)
        filters_shape = self._image_shape(input_shape[0], (None, None), filters)
        self.path_convs, self.path_bns = [], []
        for i, rate in enumerate(self.dilation_rates):
            convolution = self._path_convolution(f"path{i + 1}_conv", filters, rate)
            self.path_convs.append(built(convolution, path_shape))
            self.path_bns.append(built(self._batch_norm(f"path{i + 1}_bn"), filters_shape))

        width = bottleneck_width(
            filters,
            min(self.ratio, filters),
            input_shape,
            divisor=self.bottleneck_divisor,
            least_share=0.9,
        )
        width = max(width, self.min_bottleneck_channels)
        exact = {"dtype": self.attention_policy}
        batch_norm = self._batch_norm("reduce_bn", data_format="channels_last", **exact)
        options = {"use_bias": False, **exact}
        self.reduce = built(self._dense("reduce", width, **options), (None, filters))
        self.reduce_bn = built(batch_norm, (None, width))
        self.select = built(self._dense("select", paths * filters, **options), (None, width))
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the mixed paths, or `(outputs, attention)`."""
        number = len(self.path_convs)
        parts = [inputs] * number
        if self.split_input:
            parts = ops.split(inputs, number, axis=self.channel_axis)
        parts = [self._strided(x, rate) for x, rate in zip(parts, self.dilation_rates, strict=True)]
        paths = [
            ops.relu(bn(conv(x), training=training))
            for x, conv, bn in zip(parts, self.path_convs, self.path_bns, strict=True)
        ]  # P of (B, H, W, F)

        wide = [ops.cast(path, self.attention_dtype) for path in paths]
        total = sum(wide[1:], start=wide[0])
        pooled = squeeze(total, "average", self.spatial_axes)  # (B, F)
        logits = self.select(ops.relu(self.reduce_bn(self.reduce(pooled), training=training)))
        logits = ops.reshape(logits, (-1, number, pooled.shape[-1]))
        attention = ops.softmax(logits, axis=1)  # (B, P, F)

        outputs = ops.zeros_like(total)
        for i, path in enumerate(wide):
            weight = ops.expand_dims(attention[:, i], self.spatial_axes)  # (B, 1, 1, F)
            outputs = ops.add(outputs, ops.multiply(path, weight))
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
        """(B, P, filters)."""
        filters = self.filters or self._channels(input_shape)
        return (input_shape[0], len(self.dilation_rates), filters)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "dilation_rates": self.dilation_rates,
            "groups": self.groups,
            "split_input": self.split_input,
            "ratio": self.ratio,
            "min_bottleneck_channels": self.min_bottleneck_channels,
            "bottleneck_divisor": self.bottleneck_divisor,
        }

    def _path_convolution(self, name: str, filters: int, rate: int) -> keras.layers.Conv2D:
        options: dict[str, Any] = {"padding": "same", "dilation_rate": rate // self.strides}
        if rate == 1:
            # `_strided` pads one pixel on every side: "same" would pad on one side only.
            options = {"padding": "valid", "strides": self.strides}
        return self._conv2d(name, filters, 3, groups=self.groups, use_bias=False, **options)

    def _strided(self, x: Tensor, rate: int) -> Tensor:
        """What a path's convolution takes.

        TensorFlow has no strided dilated convolution. Where the strides divide the dilation, all
        the places that it reads are multiples of the strides: these are picked out first.
        """
        widths, step = [(0, 0)] * 4, [slice(None)] * 4
        for axis in self.spatial_axes:
            widths[axis], step[axis] = (1, 1), slice(None, None, self.strides)
        if rate == 1:
            return ops.pad(x, widths)
        return x if self.strides == 1 else x[tuple(step)]


def _check_dilation_rates(rates: object, strides: int) -> tuple[int, ...]:
    if not isinstance(rates, (list, tuple)) or len(rates) < 2:
        raise ValueError(
            "`dilation_rates` must be two or more positive integers. "
            f"Received: dilation_rates={rates!r}"
        )
    rates = tuple(check_positive_int("dilation_rates", rate) for rate in rates)
    if any(rate > 1 and rate % strides for rate in rates):
        raise ValueError(
            "`strides` must divide each of `dilation_rates` that is greater than 1. "
            f"Received: strides={strides}, dilation_rates={rates}"
        )
    return rates
