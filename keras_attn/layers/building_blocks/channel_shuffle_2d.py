"""The channel shuffle between grouped convolutions (Zhang et al., CVPR 2018)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers._validation import check_data_format
from keras_attn.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class ChannelShuffle2D(keras.layers.Layer):
    """Spreads each group of channels over all groups.

    [Zhang et al., "ShuffleNet", CVPR 2018](https://arxiv.org/abs/1707.01083), section 3.1: the
    channels, G groups of n, become n groups of G. Channel `j n + i` moves to `i G + j`.

    Args:
        groups: Positive integer G that divides the number of channels.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) if `channels_first`.

    Output shape:
        As the input.

    Raises:
        ValueError: If `groups` is no positive integer, or doesn't divide the number of channels.

    Example:

    >>> x = np.arange(6, dtype="float32").reshape(1, 1, 1, 6)
    >>> print(keras.ops.convert_to_numpy(keras_attn.layers.ChannelShuffle2D(3)(x)).ravel())
    [0. 2. 4. 1. 3. 5.]
    """

    def __init__(self, groups: int, *, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = check_positive_int("groups", groups)
        self.data_format = check_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Checks the number of channels."""
        channels = input_shape[3 if self.data_format == "channels_last" else 1]
        if channels is None or channels % self.groups:
            raise ValueError(
                "`groups` must divide the number of input channels. "
                f"Received: groups={self.groups}, input_shape={tuple(input_shape)}"
            )
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the map with its channels in their new order."""
        groups = self.groups
        if self.data_format == "channels_last":
            _, height, width, channels = ops.shape(inputs)
            x = ops.reshape(inputs, (-1, height, width, groups, channels // groups))
            x = ops.transpose(x, (0, 1, 2, 4, 3))  # (B, H, W, C / G, G)
            return ops.reshape(x, (-1, height, width, channels))
        _, channels, height, width = ops.shape(inputs)
        x = ops.reshape(inputs, (-1, groups, channels // groups, height, width))
        x = ops.transpose(x, (0, 2, 1, 3, 4))  # (B, C / G, G, H, W)
        return ops.reshape(x, (-1, channels, height, width))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "groups": self.groups, "data_format": self.data_format}
