"""The zoom of Fu et al., CVPR 2017: a part of the image, enlarged, with a gradient for its box."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_one_of
from keras_attn.layers._validation import check_data_format
from keras_attn.layers.glimpses.box_crop2d import BoxCrop2D
from keras_attn.typing import Shape, Tensor

SHARPNESS_UNITS = ("pixels", "boxes")


def boxcar(place: Tensor, centre: Tensor, half: Tensor, sharpness: Tensor) -> Tensor:
    """Near 1 inside an interval and near 0 outside: the difference of two logistic steps.

    `h(place - (centre - half)) - h(place - (centre + half))`, `h(z) = 1 / (1 + exp(-k z))`, k being
    the sharpness. It is 1/2 on the border.
    """
    rises = ops.sigmoid(sharpness * (place - (centre - half)))
    return rises - ops.sigmoid(sharpness * (place - (centre + half)))


@keras.saving.register_keras_serializable(package="keras_attn")
class AttentionZoom(keras.layers.Layer):
    """Enlarges a part of each image, differentiable in the image and in the part.

    Fu et al., "Look Closer to See Better", CVPR 2017. The image is weighted by a mask that is near
    1 inside the box and near 0 outside, a product of `boxcar` of rows and of columns, then the box
    is cut out and resized. The paper's slope of k = 10 for each pixel is 0.35 pixels wide: a
    gradient sees one rim of pixels, which is why ports write a backward pass by hand. Here the
    box's gradient is the exact one, of the mask and of the crop; the crop's alone, the default,
    goes through all of the image's own slopes.

    Args:
        size: Height and width of the crops, or one number for both.
        sharpness: The mask's slope k; `None` for no mask.
        sharpness_units: `"pixels"`: k for each pixel, as in the paper; `"boxes"`: k for each half
            side of the box, which makes the slope as wide as the box asks for.
        antialias: See `BoxCrop2D`.
        min_half: The least half side in pixels, see `BoxCrop2D`.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        Images (B, H, W, C), or (B, C, H, W) if `channels_first`; any H and W. Boxes (B, 4) in
        `BoxCrop2D`'s normalized units: centre y, centre x, half the height, half the width.

    Output shape:
        (B, h, w, C), or (B, C, h, w) if `channels_first`. The dtype is the layer's.

    Raises:
        ValueError: If a size isn't a positive integer, `sharpness` or `min_half` isn't positive,
            `sharpness_units` is neither, or `boxes` isn't (B, 4).

    Example:

    >>> images = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    >>> upper_right = np.array([[-0.5, 0.5, 0.5, 0.5]], "float32")
    >>> zoomed = keras_attn.layers.AttentionZoom(2)(images, upper_right)
    >>> print(keras.ops.convert_to_numpy(zoomed)[0, :, :, 0])
    [[2. 3.]
     [6. 7.]]
    """

    def __init__(
        self,
        size: int | tuple[int, int] = 224,
        sharpness: float | None = None,
        *,
        sharpness_units: str = "pixels",
        antialias: bool = True,
        min_half: float = 1e-3,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})  # boxes need more than 16 bits
        check_one_of("sharpness_units", sharpness_units, SHARPNESS_UNITS)
        if sharpness is not None and not sharpness > 0:
            raise ValueError(
                f"`sharpness` must be None or positive. Received: sharpness={sharpness!r}"
            )
        self.sharpness = sharpness
        self.sharpness_units = sharpness_units
        self.data_format = check_data_format(data_format)
        self.crop = BoxCrop2D(
            size,
            antialias=antialias,
            units="normalized",
            min_half=min_half,
            data_format=self.data_format,
            dtype=self.dtype_policy,
            name="crop",
        )

    def build(self, images_shape: Shape, boxes_shape: Shape) -> None:
        """Checks the shapes; there are no weights."""
        self.compute_output_shape(images_shape, boxes_shape)

    def call(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Returns the enlarged parts."""
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        boxes = ops.cast(boxes, dtype)
        if self.sharpness is not None:
            mask = self.mask(ops.shape(images), boxes, self.sharpness)
            images = ops.cast(images, dtype) * mask
        return self.crop(images, boxes)

    def mask(self, images_shape: tuple[Any, ...], boxes: Tensor, sharpness: float) -> Tensor:
        """The weight of each pixel.

        Args:
            images_shape: The images'.
            boxes: (B, 4), float32 or wider, as `call` takes them.
            sharpness: The slope k, in the layer's units.

        Returns:
            (B, H, W, 1), or (B, 1, H, W) if `channels_first`.
        """
        is_last = self.data_format == "channels_last"
        sides = images_shape[1:3] if is_last else images_shape[2:4]
        rows, columns = (
            self._of_axis(boxes, axis, side, sharpness) for axis, side in enumerate(sides)
        )
        weights = rows[:, :, None] * columns[:, None, :]  # (B, H, W)
        return ops.expand_dims(weights, -1 if is_last else 1)

    def _of_axis(self, boxes: Tensor, axis: int, length: Any, sharpness: float) -> Tensor:
        """The weights of an axis's pixels, (B, length)."""
        reach = ops.cast(length, boxes.dtype) / 2
        centre = (boxes[:, axis, None] + 1) * reach
        half = ops.maximum(boxes[:, axis + 2, None] * reach, self.crop.min_half)
        place = ops.cast(ops.arange(length), boxes.dtype) + 0.5
        slope = sharpness / half if self.sharpness_units == "boxes" else sharpness
        return boxcar(place, centre, half, slope)

    def compute_output_shape(self, images_shape: Shape, boxes_shape: Shape) -> Shape:
        """The crops'."""
        if len(boxes_shape) != 2 or boxes_shape[-1] != 4:
            raise ValueError(
                "`boxes` must be (B, 4): centre y, centre x, half the height, half the width. "
                f"Received: boxes with shape {tuple(boxes_shape)}"
            )
        return self.crop.compute_output_shape(images_shape, boxes_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "size": self.crop.size,
            "sharpness": self.sharpness,
            "sharpness_units": self.sharpness_units,
            "antialias": self.crop.antialias,
            "min_half": self.crop.min_half,
            "data_format": self.data_format,
        }
