"""Boxes cut out of images and resized, with a gradient for the image and for the box."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_one_of, check_pair
from keras_attn.layers._validation import check_data_format
from keras_attn.typing import Shape, Size, Tensor

UNITS = ("pixels", "normalized")


def crop_matrix(
    centre: Tensor, half: Tensor, length: Size, size: int, antialias: bool, dtype: str
) -> Tensor:
    """The weights of an axis's pixels in each pixel of a crop.

    Row i holds the hat function `max(0, 1 - |p_i - k| / w) / w` around the place
    `p_i = centre - half + (i + 1/2) s - 1/2`, `s = 2 half / size` being the step. Its half width w
    is 1 pixel, or with `antialias` the step where that is longer. What lies outside the axis
    counts as zero.

    Args:
        centre: (...), the box's centre in pixels: 0 is the axis's beginning, `length` its end.
        half: (...), half the box's side in pixels.
        length: Number of the axis's pixels.
        size: Number of the crop's pixels.
        antialias: See above.
        dtype: dtype of the matrix.

    Returns:
        Tensor of shape (..., size, length).
    """
    half = ops.expand_dims(half, -1)
    step = half * (2 / size)
    number = ops.cast(ops.arange(size), dtype) + 0.5
    place = ops.expand_dims(ops.expand_dims(centre, -1) - half + number * step - 0.5, -1)
    distance = ops.abs(place - ops.cast(ops.arange(length), dtype))
    if not antialias:
        return ops.relu(1 - distance)
    width = ops.expand_dims(ops.maximum(step, 1.0), -1)
    return ops.relu(1 - distance / width) / width


@keras.saving.register_keras_serializable(package="keras_attn")
class BoxCrop2D(keras.layers.Layer):
    """Cuts boxes out of images and resizes them, differentiable in the image and in the box.

    It is what hard and zooming attention look through: the glimpses of [Mnih et al., "Recurrent
    Models of Visual Attention", NIPS 2014](https://arxiv.org/abs/1406.6247), and the attended parts
    of Fu et al., "Look Closer to See Better", CVPR 2017. Each crop is A_y x A_x^T, with two
    matrices of hat functions (see `crop_matrix`): two products of matrices, which every backend and
    ONNX have. Outside the image is zero. With `antialias=False` it equals PyTorch's `grid_sample`
    with zeros as padding and `align_corners=False`.

    Args:
        size: Height and width of the crops, or one number for both.
        antialias: Whether a crop that is smaller than its box takes the mean over what each of its
            pixels covers, instead of four pixels only. The gradient for the box is then smoother.
        units: `"pixels"`, from 0 at the image's top and left edge to H and W; or `"normalized"`,
            from -1 to 1, and sides such that the half side 1 is half the image.
        min_half: The least half side in pixels: a shorter one, zero and negative ones among them,
            is taken as this, and has no gradient.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        Images (B, H, W, C), or (B, C, H, W) if `channels_first`; any H and W. Boxes (B, 4), or
        (B, R, 4) for R boxes of each image: centre y, centre x, half the height, half the width.

    Output shape:
        (B, h, w, C), or (B, R, h, w, C) of R boxes; the channels stand before h and w if
        `channels_first`. The dtype is the layer's; the matrices are made in float32, or wider.

    Raises:
        ValueError: If `size` isn't a positive integer or two of them, `units` is neither,
            `min_half` isn't positive, or `boxes` don't have four numbers each.

    Example:

    >>> images = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    >>> boxes = np.array([[1.0, 3.0, 1.0, 1.0]], "float32")  # rows 0 and 1, columns 2 and 3
    >>> crop = keras_attn.layers.BoxCrop2D(2)(images, boxes)
    >>> print(keras.ops.convert_to_numpy(crop)[0, :, :, 0])
    [[2. 3.]
     [6. 7.]]
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        antialias: bool = False,
        units: str = "pixels",
        *,
        min_half: float = 1e-3,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})  # boxes need more than 16 bits
        check_one_of("units", units, UNITS)
        if not min_half > 0:
            raise ValueError(f"`min_half` must be positive. Received: min_half={min_half!r}")
        self.size = check_pair("size", size)
        self.antialias = antialias
        self.units = units
        self.min_half = min_half
        self.data_format = check_data_format(data_format)

    def build(self, images_shape: Shape, boxes_shape: Shape) -> None:
        """Checks the shapes; there are no weights."""
        self._check(images_shape, boxes_shape)

    def call(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Returns the crops."""
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        is_last = self.data_format == "channels_last"
        one_each = len(boxes.shape) == 2
        boxes = ops.cast(ops.expand_dims(boxes, 1) if one_each else boxes, dtype)  # (B, R, 4)
        shape = ops.shape(images)
        sides = shape[1:3] if is_last else shape[2:4]
        matrices = [
            crop_matrix(
                *self._line(boxes, axis, length, dtype), length, size, self.antialias, dtype
            )
            for axis, (length, size) in enumerate(zip(sides, self.size, strict=True))
        ]
        rows, columns = matrices
        rows_of, columns_of = (
            ("brih,bhwc->briwc", "brjw,briwc->brijc")
            if is_last
            else ("brih,bchw->brciw", "brjw,brciw->brcij")
        )
        crops = ops.einsum(columns_of, columns, ops.einsum(rows_of, rows, ops.cast(images, dtype)))
        return ops.cast(ops.squeeze(crops, 1) if one_each else crops, self.compute_dtype)

    def compute_output_shape(self, images_shape: Shape, boxes_shape: Shape) -> Shape:
        """The crops', with the number of boxes where each image has several."""
        self._check(images_shape, boxes_shape)
        before = (images_shape[0], *boxes_shape[1:-1])
        if self.data_format == "channels_last":
            return (*before, *self.size, images_shape[3])
        return (*before, images_shape[1], *self.size)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "antialias": self.antialias,
            "units": self.units,
            "min_half": self.min_half,
            "data_format": self.data_format,
        }

    def _line(self, boxes: Tensor, axis: int, length: Size, dtype: str) -> tuple[Tensor, Tensor]:
        """Centre and half side of each box along an axis, in pixels: (B, R) each."""
        centre, half = boxes[..., axis], boxes[..., axis + 2]
        if self.units == "normalized":
            reach = ops.cast(length, dtype) / 2
            centre, half = (centre + 1) * reach, half * reach
        return centre, ops.maximum(half, self.min_half)

    def _check(self, images_shape: Shape, boxes_shape: Shape) -> None:
        if len(images_shape) != 4:
            raise ValueError(
                f"`images` must have four axes. Received: images with shape {tuple(images_shape)}"
            )
        if len(boxes_shape) not in (2, 3) or boxes_shape[-1] != 4:
            raise ValueError(
                "`boxes` must be (B, 4) or (B, R, 4): centre y, centre x, half the height, half "
                f"the width. Received: boxes with shape {tuple(boxes_shape)}"
            )
