"""The shortcut without parameters between the stages of a residual network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._empty import AnyBatch
from keras_attn.layers._validation import check_channels, check_choice, check_data_format
from keras_attn.layers.building_blocks.average_pool import average_pool_same
from keras_attn.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class ZeroPaddingShortcut2D(AnyBatch):
    """A shortcut that strides and widens without weights: its new channels are zero.

    Option A of [He et al., "Deep Residual Learning for Image Recognition", CVPR 2016](
    https://arxiv.org/abs/1512.03385), section 4.2, takes every `strides`-th pixel. The
    Wide-ResNets of Attention Augmented Convolutional Networks take means instead.

    Args:
        filters: Positive integer, the channels of the output, at least those of the input.
        strides: Positive integer.
        pooling: `"first"` takes the first pixel of each window of `strides` x `strides`,
            `"average"` its mean.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) if `channels_first`.

    Output shape:
        (B, ceil(H / strides), ceil(W / strides), filters); the channels from C on are zero.

    Raises:
        ValueError: If an argument is out of its range, or the input has more channels than
            `filters`.

    Example:

    >>> layer = keras_attn.layers.ZeroPaddingShortcut2D(8, strides=2)
    >>> layer(np.ones((1, 4, 6, 5), "float32")).shape
    TensorShape([1, 2, 3, 8])
    """

    def __init__(
        self,
        filters: int,
        *,
        strides: int = 1,
        pooling: str = "first",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.strides = check_positive_int("strides", strides)
        self.pooling = check_choice("pooling", pooling, ("first", "average"))
        self.data_format = check_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Checks the number of channels."""
        channels = check_channels(type(self).__name__, input_shape, self.data_format)
        if channels > self.filters:
            raise ValueError(
                "`filters` must not be less than the number of input channels. "
                f"Received: filters={self.filters}, input_shape={tuple(input_shape)}"
            )
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the strided map with its zero channels."""
        x, strides = inputs, self.strides
        if strides > 1 and self.pooling == "average":
            x = average_pool_same(x, strides, (strides, strides), self.data_format)
        elif strides > 1 and self.data_format == "channels_last":
            x = x[:, ::strides, ::strides, :]
        elif strides > 1:
            x = x[:, :, ::strides, ::strides]
        widths = [(0, 0)] * 4
        widths[self._channel_axis] = (0, self.filters - inputs.shape[self._channel_axis])
        return ops.pad(x, widths)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, ceil(H / strides), ceil(W / strides), filters)."""
        shape = [
            length if length is None or axis == 0 else -(-length // self.strides)
            for axis, length in enumerate(input_shape)
        ]
        shape[self._channel_axis] = self.filters
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "pooling": self.pooling,
            "data_format": self.data_format,
        }

    @property
    def _channel_axis(self) -> int:
        return 3 if self.data_format == "channels_last" else 1
