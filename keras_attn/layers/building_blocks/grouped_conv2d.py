"""A grouped convolution that trains, serves and converts on every backend."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._empty import AnyBatch
from keras_attn.layers._validation import check_channels
from keras_attn.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class GroupedConv2D(AnyBatch, keras.layers.Conv2D):
    """`keras.layers.Conv2D` whose groups work on TensorFlow without XLA.

    On TensorFlow, Keras compiles a grouped convolution with XLA: TF Serving refuses that by
    default, tf2onnx writes an operator that no runtime knows, and the plain grouped op has no
    gradient on CPU. Here the groups are split, convolved and concatenated there, and the native
    op is used on the other backends. Weights, numbers and config are those of
    `keras.layers.Conv2D(..., groups=groups)`.

    Args:
        filters: Positive integer, the channels of the output, divisible by `groups`.
        kernel_size: Size of the kernel, an integer or two.
        groups: Positive integer that divides the input's channels and `filters`.
        **kwargs: Arguments of `keras.layers.Conv2D`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) if `channels_first`.

    Output shape:
        As that of `keras.layers.Conv2D`.

    Raises:
        ValueError: As `keras.layers.Conv2D` does.

    Example:

    >>> layer = keras_attn.layers.GroupedConv2D(12, 3, groups=4, padding="same")
    >>> layer(np.ones((1, 5, 7, 8), "float32")).shape
    TensorShape([1, 5, 7, 12])
    """

    def __init__(
        self, filters: int, kernel_size: int | tuple[int, int], *, groups: int, **kwargs: Any
    ) -> None:
        super().__init__(filters, kernel_size, groups=groups, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Makes the kernel for C channels."""
        check_channels(type(self).__name__, input_shape, self.data_format)
        super().build(input_shape)

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """Convolves each group of channels with its own filters."""
        if self.groups == 1 or keras.backend.backend() != "tensorflow":
            return super().convolution_op(inputs, kernel)
        axis = -1 if self.data_format == "channels_last" else 1
        groups = zip(
            ops.split(inputs, self.groups, axis=axis),
            ops.split(kernel, self.groups, axis=-1),
            strict=True,
        )
        convolve = super().convolution_op
        return ops.concatenate([convolve(x, k) for x, k in groups], axis=axis)
