"""Gather-Excite (Hu et al., NeurIPS 2018)."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._base import clone_initializer
from keras_attn.layers._composed import ComposedAttentionLayer, built
from keras_attn.layers._shapes import ceil_div
from keras_attn.layers._validation import check_choice
from keras_attn.layers.building_blocks.average_pool import average_pool_padded
from keras_attn.layers.building_blocks.batch_normalization import BatchNormalization
from keras_attn.layers.gates._bottleneck import bottleneck_width
from keras_attn.typing import Initializer, Regularizer, Shape, Size, Tensor

MODES = ("theta_minus", "theta", "theta_plus")
EXTENTS = (2, 4, 8)
Extent: TypeAlias = int | Literal["global"]


def gathered_length(length: Size, extent: Extent) -> Size:
    """ceil(length / extent), or 1 for the global extent; `None` stays `None`."""
    if extent == "global":
        return 1
    return None if length is None else ceil_div(length, extent)


def average_gather(x: Tensor, extent: Extent, data_format: str = "channels_last") -> Tensor:
    """Averages windows of `2 extent - 1` places, `extent` apart; the edge's outside doesn't count.

    Args:
        x: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        extent: 2, 4, 8 or `"global"`.
        data_format: `"channels_last"` or `"channels_first"`.

    Returns:
        Tensor of shape (B, ceil(H / extent), ceil(W / extent), C).
    """
    if extent == "global":
        axes = (1, 2) if data_format == "channels_last" else (2, 3)
        return ops.mean(x, axis=axes, keepdims=True)
    padding = ((extent - 1, extent - 1),) * 2
    return average_pool_padded(x, 2 * extent - 1, (extent, extent), padding, data_format)


def upsample_nearest(x: Tensor, size: tuple[Size, Size], axes: tuple[int, int]) -> Tensor:
    """Repeats places up to `size`: place i takes the source's `floor(i h / height)`."""
    shape = ops.shape(x)
    for axis, length in zip(axes, size, strict=True):
        x = ops.take(x, ops.arange(length) * shape[axis] // length, axis=axis)
    return x


@keras.saving.register_keras_serializable(package="keras_attn")
class GatherExcite(ComposedAttentionLayer):
    """Gather-Excite: each place gated by what was gathered from a neighbourhood of it.

    [Hu et al., "Gather-Excite: Exploiting Feature Context in Convolutional Neural Networks",
    NeurIPS 2018](https://arxiv.org/abs/1810.12348), equation 1, in the details the authors'
    prototxts:

        y = x * sigmoid(upsample(excite(gather(x))))       # upsampled to the nearest place

    - `"theta_minus"` has no weights: it gathers the mean of 2 e - 1 by 2 e - 1 places, e apart,
      or of the whole map.
    - `"theta"` gathers by log2(e) depthwise 3x3 convolutions of stride 2, each with
      BatchNormalization, ReLU between them; globally by one depthwise convolution as large as the
      map, with BatchNormalization.
    - `"theta_plus"` has a ReLU behind theta's gathering, and excites by two 1x1 convolutions with
      biases, `C // ratio` channels and a ReLU between them.

    With `extent="global"`, theta and theta-plus serve only the map's size at build. The paper
    uses theta-plus with the global extent; with the others it is the reading that extends that.

    All that makes the gate is computed in float32 (or wider) under 16-bit
    policies. A fresh layer halves its map, as `SqueezeExcite` does.

    Args:
        mode: `"theta_minus"`, `"theta"` or `"theta_plus"`.
        extent: 2, 4, 8 or `"global"`, the neighbourhood e.
        ratio: Positive integer r of theta-plus.
        kernel_initializer: Initializer of the kernels.
        kernel_regularizer: Regularizer of the kernels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape (B, H, W, C), or (B, C, H, W) if `channels_first`.
        training: Whether BatchNormalization uses the batch's statistics.
        return_attention: Whether to return `(outputs, gate)`.

    Input shape:
        (B, H, W, C), H and W no smaller than the extent.

    Output shape:
        As the input; the gate before it is upsampled, float32, has shape
        (B, ceil(H / e), ceil(W / e), C), or (B, 1, 1, C) for the global extent.

    Raises:
        ValueError: Where an argument is out of its range, the extent is larger than the map,
            a global convolution meets a map of unknown or of another size than at build, or
            `C // ratio` is 0.

    Example:

    >>> layer = keras_attn.layers.GatherExcite("theta", extent=4)
    >>> y, gate = layer(np.ones((2, 9, 6, 32), "float32"), return_attention=True)
    >>> y.shape, gate.shape
    (TensorShape([2, 9, 6, 32]), TensorShape([2, 3, 2, 32]))
    """

    def __init__(
        self,
        mode: str = "theta_minus",
        *,
        extent: int | str = "global",
        ratio: int = 16,
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
        self.mode = check_choice("mode", mode, MODES)
        self.extent: Extent = _check_extent(extent)
        self.attention_form = "channel_gate" if self.extent == "global" else "place_gate"
        self.ratio = check_positive_int("ratio", ratio)
        self.gather_convs: list[keras.layers.DepthwiseConv2D] = []
        self.gather_bns: list[BatchNormalization] = []

    def build(self, input_shape: Shape) -> None:
        """Makes the gathering convolutions and the excitation for C channels."""
        channels = self._channels(input_shape)
        self._check_size(input_shape)
        self.build_size = self._spatial(input_shape)
        exact = {"dtype": self.attention_policy}
        if self.mode != "theta_minus":
            # No weight depends on H and W, and `_gather` pads: a map may be smaller than 3x3.
            any_size = self._image_shape(input_shape[0], (None, None), channels)
            for name, options in self._convolutions(input_shape):
                convolution = self._depthwise(f"gather_{name}", **options)
                self.gather_convs.append(built(convolution, any_size))
                batch_norm = self._batch_norm(f"gather_bn{name[4:]}", **exact)
                self.gather_bns.append(built(batch_norm, any_size))
        if self.mode == "theta_plus":
            width = bottleneck_width(channels, self.ratio, input_shape)
            shape = self._image_shape(input_shape[0], (None, None), channels)
            inner_shape = self._image_shape(input_shape[0], (None, None), width)
            self.reduce = built(self._conv2d("reduce", width, **exact), shape)
            self.expand = built(self._conv2d("expand", channels, **exact), inner_shape)
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, return_attention: bool = False
    ) -> Tensor:
        """Returns the gated map, or `(outputs, gate)`."""
        self._check_size(inputs.shape)
        x = ops.cast(inputs, self.attention_dtype)
        if self.mode == "theta_minus":
            x = average_gather(x, self.extent, self.data_format)
        else:
            x = self._gather(x, training)  # (B, h, w, C)
        if self.mode == "theta_plus":
            x = self.expand(ops.relu(self.reduce(ops.relu(x))))
        gate = ops.sigmoid(x)
        spread = gate
        if self.extent != "global":
            size = self._spatial(ops.shape(inputs))
            spread = upsample_nearest(gate, size, self.spatial_axes)  # (B, H, W, C)
        outputs = self._gated(inputs, spread)
        return (outputs, gate) if return_attention else outputs

    def compute_attention_shape(self, input_shape: Shape) -> Shape:
        """The gate's: (B, ceil(H / e), ceil(W / e), C)."""
        size = tuple(gathered_length(side, self.extent) for side in self._spatial(input_shape))
        return self._image_shape(input_shape[0], size, self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "mode": self.mode,
            "extent": self.extent,
            "ratio": self.ratio,
        }

    def _gather(self, x: Tensor, training: bool | None) -> Tensor:
        """By convolutions: (B, H, W, C) -> (B, h, w, C)."""
        if self.extent == "global":
            [conv], [bn] = self.gather_convs, self.gather_bns
            return bn(self._global_convolution(x, conv.kernel), training=training)
        # One pixel on every side: "same" would pad a strided convolution on one side only.
        widths = [(0, 0)] * 4
        for axis in self.spatial_axes:
            widths[axis] = (1, 1)
        last = len(self.gather_convs) - 1
        for i, (conv, bn) in enumerate(zip(self.gather_convs, self.gather_bns, strict=True)):
            x = bn(conv(ops.pad(x, widths)), training=training)
            x = ops.relu(x) if i < last else x
        return x

    def _global_convolution(self, x: Tensor, kernel: Tensor) -> Tensor:
        """By a kernel (H, W, C, 1) as large as the map: (B, H, W, C) -> (B, 1, 1, C).

        A product and sums: TensorFlow's gradient of such a convolution takes 5 to 240 times as
        long on a CPU.
        """
        kernel = ops.squeeze(ops.cast(kernel, x.dtype), axis=-1)  # (H, W, C)
        if self.data_format == "channels_first":
            kernel = ops.transpose(kernel, (2, 0, 1))
        x = ops.multiply(x, kernel)
        for axis in self.spatial_axes:
            x = ops.sum(x, axis=axis, keepdims=True)
        return x

    def _convolutions(self, input_shape: Shape) -> list[tuple[str, dict[str, Any]]]:
        """The names of the gathering convolutions, with their kernels' size and strides."""
        if self.extent == "global":
            return [("conv", {"kernel_size": self._spatial(input_shape)})]
        number = self.extent.bit_length() - 1  # log2
        return [(f"conv{i + 1}", {"kernel_size": 3, "strides": 2}) for i in range(number)]

    def _depthwise(self, name: str, **options: Any) -> keras.layers.DepthwiseConv2D:
        return keras.layers.DepthwiseConv2D(
            use_bias=False,
            depthwise_initializer=clone_initializer(self.kernel_initializer),
            depthwise_regularizer=self.kernel_regularizer,
            data_format=self.data_format,
            dtype=self.attention_policy,
            name=name,
            **options,
        )

    def _check_size(self, input_shape: Shape) -> None:
        size = self._spatial(input_shape)
        if self.extent == "global":
            if self.mode == "theta_minus":
                return
            if None in size and not self.built:
                raise ValueError(
                    "`extent` must be 2, 4 or 8, or the mode 'theta_minus', where the input's "
                    "height and width are unknown at build: a global convolution is as large as "
                    f"the map. Received: extent='global', mode={self.mode!r}, "
                    f"input_shape={tuple(input_shape)}"
                )
            if self.built and None not in size and size != self.build_size:
                raise ValueError(
                    "The input's height and width must be those at build, "
                    f"{self.build_size}, where mode={self.mode!r} and extent='global'; "
                    "'theta_minus' and the extents 2, 4 and 8 take other sizes. "
                    f"Received: input_shape={tuple(input_shape)}"
                )
            return
        if any(side is not None and side < self.extent for side in size):
            fitting = [repr(e) for e in EXTENTS if all(s is None or s >= e for s in size)]
            raise ValueError(
                "`extent` must not be greater than the input's height and width; "
                f"{', '.join([*fitting, repr('global')])} would do. "
                f"Received: extent={self.extent}, input_shape={tuple(input_shape)}"
            )


def _check_extent(extent: Any) -> Extent:
    if extent != "global" and (isinstance(extent, bool) or extent not in EXTENTS):
        raise ValueError(f"`extent` must be 2, 4, 8 or 'global'. Received: extent={extent!r}")
    checked: Extent = extent
    return checked
