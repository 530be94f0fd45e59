"""The retina of Mnih et al., NIPS 2014: patches of growing size around a place."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_pair, check_positive_int
from keras_attn.layers._validation import check_channels, check_data_format
from keras_attn.layers.glimpses.box_crop2d import BoxCrop2D
from keras_attn.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class GlimpseSensor(keras.layers.Layer):
    """Looks at a place of each image: sharp at its centre, coarser and wider around it.

    [Mnih et al., "Recurrent Models of Visual Attention", NIPS
    2014](https://arxiv.org/abs/1406.6247), the glimpse sensor rho(x, l): square patches around the
    place, the first of `glimpse_size` pixels, each next one `scale` times as wide, all resized to
    `glimpse_size` and concatenated. Outside the image is zero.

    Args:
        glimpse_size: Height and width of a glimpse in pixels, or one number for both.
        num_scales: Number of patches.
        scale: How many times as wide as one patch the next is.
        antialias: Whether a wider patch is averaged on its way to the glimpse's size, rather than
            sampled.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        Images (B, H, W, C), or (B, C, H, W) if `channels_first`; any H and W. Locations (B, 2) of y
        and x: (-1, -1) is the image's top left corner, (1, 1) its bottom right one, (0, 0) its
        centre.

    Output shape:
        (B, h, w, S C), the channels of the smallest patch first; or (B, S C, h, w) if
        `channels_first`.

    Raises:
        ValueError: If a size or a number isn't a positive integer, `scale` is below 1, or
            `locations` don't have two numbers each.

    Example:

    >>> images = np.zeros((2, 28, 28, 1), "float32")
    >>> sensor = keras_attn.layers.GlimpseSensor(8, num_scales=3)
    >>> sensor(images, np.zeros((2, 2), "float32")).shape
    TensorShape([2, 8, 8, 3])
    """

    def __init__(
        self,
        glimpse_size: int | tuple[int, int] = 8,
        num_scales: int = 1,
        scale: float = 2.0,
        antialias: bool = True,
        *,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})  # places need more than 16 bits
        if not scale >= 1:
            raise ValueError(f"`scale` must be 1 or more. Received: scale={scale!r}")
        self.glimpse_size = check_pair("glimpse_size", glimpse_size)
        self.num_scales = check_positive_int("num_scales", num_scales)
        self.scale = scale
        self.antialias = antialias
        self.data_format = check_data_format(data_format)
        self.crop = BoxCrop2D(
            self.glimpse_size,
            antialias=antialias,
            data_format=self.data_format,
            dtype=self.dtype_policy,
            name="crop",
        )

    def build(self, images_shape: Shape, locations_shape: Shape) -> None:
        """Checks the shapes; there are no weights."""
        self.compute_output_shape(images_shape, locations_shape)

    def boxes(self, locations: Tensor, image_size: tuple[Any, Any]) -> Tensor:
        """The patches as boxes in pixels, see `BoxCrop2D`.

        Args:
            locations: (..., 2), as `call` takes them.
            image_size: (H, W) of the images.

        Returns:
            float32 or wider (..., S, 4).
        """
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        locations = ops.cast(locations, dtype)
        centre = ops.stack(
            [
                (locations[..., axis] + 1) * ops.cast(length, dtype) / 2
                for axis, length in enumerate(image_size)
            ],
            axis=-1,
        )
        boxes = []
        for number in range(self.num_scales):
            half = [side * self.scale**number / 2 for side in self.glimpse_size]
            halves = ops.broadcast_to(ops.convert_to_tensor(half, dtype), ops.shape(centre))
            boxes.append(ops.concatenate([centre, halves], axis=-1))
        return ops.stack(boxes, axis=-2)

    def call(self, images: Tensor, locations: Tensor) -> Tensor:
        """Returns the glimpses."""
        is_last = self.data_format == "channels_last"
        shape = ops.shape(images)
        boxes = self.boxes(locations, shape[1:3] if is_last else shape[2:4])
        crops = self.crop(images, boxes)  # (B, S, h, w, C)
        if is_last:
            crops = ops.transpose(crops, (0, 2, 3, 1, 4))
        return ops.reshape(crops, (-1, *self._glimpse_shape(images.shape)))

    def compute_output_shape(self, images_shape: Shape, locations_shape: Shape) -> Shape:
        """The glimpse's size, with the channels of all scales."""
        if len(locations_shape) != 2 or locations_shape[-1] != 2:
            raise ValueError(
                "`locations` must be (B, 2): y and x. "
                f"Received: locations with shape {tuple(locations_shape)}"
            )
        boxes = (locations_shape[0], self.num_scales, 4)
        return (
            self.crop.compute_output_shape(images_shape, boxes)[0],
            *self._glimpse_shape(images_shape),
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "glimpse_size": self.glimpse_size,
            "num_scales": self.num_scales,
            "scale": self.scale,
            "antialias": self.antialias,
            "data_format": self.data_format,
        }

    def _glimpse_shape(self, images_shape: Shape) -> tuple[int, ...]:
        is_last = self.data_format == "channels_last"
        channels = check_channels("GlimpseSensor", images_shape, self.data_format) * self.num_scales
        return (*self.glimpse_size, channels) if is_last else (channels, *self.glimpse_size)
