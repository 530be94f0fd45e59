"""From an encoded or a raw image to what a network takes, in TensorFlow's graph."""

import tensorflow as tf

from keras_attn.images.graph.decoding import decode_image
from keras_attn.images.preprocessing import Preprocessing
from keras_attn.images.resizing import Interpolation
from keras_attn.typing import Tensor

KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}


def decode(how: Preprocessing, encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Image files, string `(B,)` -> pixel values of its size, float32 `(B, H, W, C)`."""

    def one(image: tf.Tensor) -> tf.Tensor:
        return resize(how, decode_image(image, channels)[None])[0]

    shape = (*(how.size or (None, None)), channels)
    return tf.map_fn(one, encoded, fn_output_signature=tf.TensorSpec(shape, tf.float32))


def decode_with_places(
    how: Preprocessing, encoded: tf.Tensor, channels: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Image files -> pixel values as of `decode`, and where they are in the files' pictures.

    Returns:
        float32 `(B, H, W, C)`, and `(B, 3, 2)`, of rows and of columns: the factor that the picture
        was resized by, the first that was then kept, and how many the picture had.
    """

    def one(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = decode_image(image, channels)
        sides = tf.shape(pixels)[:2]
        place = tf.stack([*whole_of(how, sides), tf.cast(sides, tf.float32)])
        return resize(how, pixels[None])[0], place

    shape = (*(how.size or (None, None)), channels)
    specs = (tf.TensorSpec(shape, tf.float32), tf.TensorSpec((3, 2), tf.float32))
    pixels, places = tf.map_fn(one, encoded, fn_output_signature=specs)
    return pixels, places


def boxes_in_files(boxes: Tensor, places: Tensor) -> tf.Tensor:
    """Boxes in the pixels of a network's images -> in those of the files' pictures, within them.

    Args:
        boxes: `(B, M, 4)`: left, top, width, height.
        places: `(B, 3, 2)`, of `decode_with_places`.
    """
    scale, start, sides = (places[:, None, row, ::-1] for row in range(3))  # (B, 1, 2), x and y
    low = (boxes[..., :2] + start) / scale
    high = low + boxes[..., 2:] / scale
    low, high = (tf.clip_by_value(corner, 0.0, sides) for corner in (low, high))
    return tf.concat([low, high - low], axis=-1)


def resize(how: Preprocessing, pixels: tf.Tensor) -> tf.Tensor:
    """Pixel values of any size, uint8 `(B, h, w, C)` -> pixel values of its size, float32."""
    if how.size is None:
        return tf.cast(pixels, tf.float32)
    scale, start = whole_of(how, tf.shape(pixels)[1:3])
    return tf.cast(resize_part(pixels, scale, start, how.size, how.interpolation), tf.float32)


def whole_of(how: Preprocessing, sides: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """How an image comes to its size.

    Args:
        how: A preprocessing that has a size.
        sides: Height and width of the image, int32 `(2,)`.

    Returns:
        The factors that its sides are resized by, and the first row and column that are then
        kept: float32 `(2,)` each.
    """
    whole = least = tf.constant(how.least_whole)  # (H, W) before its centre is cut out
    sides = tf.cast(sides, tf.float64)
    if how.crop is not None:
        scale = tf.reduce_max(tf.cast(least, tf.float64) / sides)
        whole = tf.maximum(tf.cast(tf.math.floor(sides * scale + 1e-3), tf.int32), least)
    start = tf.round(
        (whole - tf.constant(how.size or (0, 0))) / 2
    )  # a half goes to the even number
    return tf.cast(tf.cast(whole, tf.float64) / sides, tf.float32), tf.cast(start, tf.float32)


def resize_part(
    pixels: tf.Tensor,
    scale: tf.Tensor,
    start: tf.Tensor,
    size: tuple[int, int],
    interpolation: Interpolation,
    mirrored: tf.Tensor | None = None,
) -> tf.Tensor:
    """A part of images that are resized as `keras_attn.images.resizing` does it.

    All rows come to the new width, rounded, and then all columns to the new height. Each pass is
    one of TensorFlow's over images of one column, whose channels are the other side and the
    colours. Sides change places as those of matrices do, (h, w C) to (w C, h), which takes half the
    time of moving pixels; and between the passes a picture is mirrored by moving whole lines.

    Args:
        pixels: `(B, h, w, C)`, uint8, or float32 from 0 to 255.
        scale: Factors that height and width are resized by, float32 `(2,)`.
        start: First row and column of the part, once resized, float32 `(2,)`.
        size: Height and width of the part.
        interpolation: `"bilinear"` or `"bicubic"`.
        mirrored: Whether left and right change places, bool `()`; `None` for no.

    Returns:
        uint8 `(B, *size, C)`.
    """
    channels = int(pixels.shape[-1] or 0)
    batch, rows, columns, _ = tf.unstack(tf.shape(pixels))
    height, width = size
    turned = tf.transpose(tf.reshape(pixels, (batch, rows, columns * channels)), (0, 2, 1))
    turned = tf.reshape(turned, (batch, columns, 1, channels * rows))
    turned = _pass(turned, scale[1], start[1], width, interpolation)  # (B, width, 1, C h)
    if mirrored is not None:
        lines = tf.range(width)
        turned = tf.gather(turned, tf.where(mirrored, width - 1 - lines, lines), axis=1)
    upright = tf.transpose(tf.reshape(turned, (batch, width * channels, rows)), (0, 2, 1))
    upright = tf.reshape(upright, (batch, rows, 1, width * channels))
    upright = _pass(upright, scale[0], start[0], height, interpolation)
    return tf.reshape(upright, (batch, height, width, channels))


def _pass(
    lines: tf.Tensor, scale: tf.Tensor, start: tf.Tensor, length: int, interpolation: str
) -> tf.Tensor:
    """Resizes `(B, L, 1, n)` along L and cuts `length` lines out, rounded to uint8."""
    found = tf.raw_ops.ScaleAndTranslate(
        images=lines,
        size=[length, 1],
        scale=tf.stack([scale, 1.0]),
        translation=tf.stack([-start, 0.0]),
        kernel_type=KERNELS[interpolation],
        antialias=True,
    )
    if interpolation != "bilinear":  # which stays between its pixels by itself
        found = tf.clip_by_value(found, 0.0, 255.0)
    return tf.cast(found + 0.5, tf.uint8)  # a half goes up


def normalise(how: Preprocessing, pixels: Tensor) -> tf.Tensor:
    """Pixel values -> what the network takes."""
    pixels = tf.cast(pixels, tf.float32)
    if how.mean is not None:
        pixels = pixels - tf.constant(how.mean)
    return pixels if how.std is None else pixels / tf.constant(how.std)
