"""Two-dimensional sinusoidal positions (Parmar et al., ICML 2018)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.layers._validation import check_data_format
from keras_attn.typing import Shape, Size, Tensor


def sinusoids(length: Size, depth: int, max_wavelength: float, dtype: str) -> Tensor:
    """The encoding of positions along one axis.

    Channel 2 k of position p is sin(p / w), channel 2 k + 1 cos(p / w), with
    w = max_wavelength**(2 k / depth).

    Args:
        length: Number of positions, an int or a scalar int tensor.
        depth: Even number of channels.
        max_wavelength: The base of the wavelengths.
        dtype: dtype of the result.

    Returns:
        Tensor of shape (length, depth).
    """
    exponent = ops.arange(depth // 2, dtype=dtype) * (2 / depth)
    position = ops.cast(ops.arange(length), dtype)
    angle = position[:, None] / ops.power(ops.cast(max_wavelength, dtype), exponent)[None, :]
    pairs = ops.stack([ops.sin(angle), ops.cos(angle)], axis=-1)  # (length, depth / 2, 2)
    return ops.reshape(pairs, (-1, depth))


@keras.saving.register_keras_serializable(package="keras_attn")
class SinusoidalPositionEncoding2D(keras.layers.Layer):
    """Adds sinusoids of the row and of the column to the channels.

    [Parmar et al., "Image Transformer", ICML 2018](https://arxiv.org/abs/1802.05751), as used in
    the ablation of ["Attention Augmented Convolutional Networks"](
    https://arxiv.org/abs/1904.09925): the first half of the channels encodes the row, the second
    half the column. In each half of depth d, channels 2 k and 2 k + 1 are the sine and the cosine
    of `position / max_wavelength**(2 k / d)`.

    The layer has no weights. The sinusoids are computed in float32 (or wider) under 16-bit
    policies.

    Args:
        max_wavelength: Positive number, the base of the wavelengths.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (B, H, W, C), or (B, C, H, W) if `channels_first`; any H and W, C divisible by 4.

    Output shape:
        As the input.

    Raises:
        ValueError: If `max_wavelength` is not positive, or C not divisible by 4.

    Example:

    >>> layer = keras_attn.layers.SinusoidalPositionEncoding2D()
    >>> y = keras.ops.convert_to_numpy(layer(np.zeros((1, 2, 2, 4), "float32")))
    >>> print(y[0, 1, 0].round(2))  # row 1, column 0
    [0.84 0.54 0.   1.  ]
    """

    def __init__(
        self, max_wavelength: float = 10000, *, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not max_wavelength > 0:
            raise ValueError(
                f"`max_wavelength` must be positive. Received: max_wavelength={max_wavelength!r}"
            )
        self.max_wavelength = max_wavelength
        self.data_format = check_data_format(data_format)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Checks the number of channels."""
        channels = input_shape[3 if self.data_format == "channels_last" else 1]
        if channels is None or channels % 4:
            raise ValueError(
                "The number of input channels must be divisible by 4, for a sine and a cosine of "
                f"both axes. Received: input_shape={tuple(input_shape)}"
            )
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the map with its positions added."""
        shape = ops.shape(inputs)
        if self.data_format == "channels_first":
            height, width, channels = shape[2], shape[3], shape[1]
        else:
            height, width, channels = shape[1:]
        exact = keras.backend.result_type(self.compute_dtype, "float32")
        depth = channels // 2
        row = sinusoids(height, depth, self.max_wavelength, exact)[:, None]  # (H, 1, C / 2)
        column = sinusoids(width, depth, self.max_wavelength, exact)[None]  # (1, W, C / 2)
        row = ops.broadcast_to(row, (height, width, depth))
        column = ops.broadcast_to(column, (height, width, depth))
        encoding = ops.concatenate([row, column], axis=-1)  # (H, W, C)
        if self.data_format == "channels_first":
            encoding = ops.transpose(encoding, (2, 0, 1))
        return ops.add(inputs, ops.cast(encoding, self.compute_dtype))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "max_wavelength": self.max_wavelength,
            "data_format": self.data_format,
        }
