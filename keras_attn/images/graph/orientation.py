"""How a picture lies by its EXIF, and setting it upright, in TensorFlow's graph.

TensorFlow's decoders don't look at EXIF, and a client of TF Serving sends files as they are. Phones
store what the sensor saw, and the orientation beside it.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from keras_attn.images.orientation import (
    ENTRY,
    LEAST_SEGMENT,
    MOST_BYTES,
    MOST_SEGMENTS,
    ORIENTATION,
)

END = 2**62  # beyond every file
# Orientation, from 1 on -> whether rows and columns change places, and which then run backwards.
UPRIGHT: tuple[tuple[bool, list[int]], ...] = (
    (False, []),
    (False, [1]),
    (False, [0, 1]),
    (False, [0]),
    (True, []),
    (True, [1]),
    (True, [0, 1]),
    (True, [0]),
)


def set_upright(image: tf.Tensor, exif: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors a picture as its EXIF says.

    Args:
        image: `(H, W, C)`.
        exif: The file's EXIF, as `exif_of_jpeg` and the like give it.
    """

    def turned(swap: bool, backwards: list[int]) -> tf.Tensor:
        swapped = tf.transpose(image, (1, 0, 2)) if swap else image
        # A slice by -1 takes fifteen times as long.
        return tf.reverse(swapped, backwards) if backwards else swapped

    turns = [functools.partial(turned, *turn) for turn in UPRIGHT]
    return tf.switch_case(orientation_of(exif) - 1, turns)


def exif_of_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF of a JPEG file from its TIFF header on, scalar strings; empty where it has none."""

    def is_exif(at: tf.Tensor) -> tf.Tensor:
        is_app1 = tf.equal(tf.strings.substr(encoded, at, 2), b"\xff\xe1")
        return is_app1 & tf.equal(tf.strings.substr(encoded, at + 4, 6), b"Exif\0\0")

    def length(at: tf.Tensor) -> tf.Tensor:
        marker = _number(encoded, at, 2)
        is_fill = marker == 0xFFFF  # 0xFF may stand before a marker
        is_segment = (marker > 0xFF00) & (marker != 0xFFDA)  # then the picture itself begins
        segment = tf.where(is_segment, 2 + _number(encoded, at + 2, 2), END)
        return tf.where(is_fill, tf.ones_like(segment), segment)

    return _find(encoded, 2, is_exif, length, header=10)


def exif_of_png(encoded: tf.Tensor) -> tf.Tensor:
    """Likewise of a PNG file. What follows the picture doesn't count, as in browsers."""

    def kind(at: tf.Tensor) -> tf.Tensor:
        return tf.strings.substr(encoded, at + 4, 4)

    def length(at: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.not_equal(kind(at), b"IDAT"), 12 + _number(encoded, at, 4), END)

    return _find(encoded, 8, lambda at: tf.equal(kind(at), b"eXIf"), length, header=8)


def exif_of_webp(encoded: tf.Tensor) -> tf.Tensor:
    """Likewise of a WebP file."""

    def is_exif(at: tf.Tensor) -> tf.Tensor:
        return tf.equal(tf.strings.substr(encoded, at, 4), b"EXIF")

    def length(at: tf.Tensor) -> tf.Tensor:
        size = _number(encoded, at + 4, 4, little_endian=True)
        return 8 + size + tf.math.floormod(size, 2)

    exif = _find(encoded, 12, is_exif, length, header=8)
    is_prefixed = tf.equal(tf.strings.substr(exif, 0, 6), b"Exif\0\0")
    return tf.strings.substr(exif, tf.where(is_prefixed, 6, 0), MOST_BYTES)


def _find(
    encoded: tf.Tensor,
    start: int,
    is_exif: Callable[[tf.Tensor], tf.Tensor],
    length: Callable[[tf.Tensor], tf.Tensor],
    *,
    header: int,
) -> tf.Tensor:
    """What the segment with EXIF holds after its `header` bytes, or nothing.

    Args:
        encoded: The file.
        start: Where its first segment begins.
        is_exif: Whether the segment that begins at a place is the one.
        length: How many bytes it has.
        header: How many of them stand before what it holds.
    """
    size = tf.cast(tf.strings.length(encoded), tf.int64)

    def is_inside(at: tf.Tensor) -> tf.Tensor:
        return at + LEAST_SEGMENT <= size

    def goes_on(at: tf.Tensor) -> tf.Tensor:
        return tf.cond(is_inside(at), lambda: tf.logical_not(is_exif(at)), lambda: False)

    [at] = tf.while_loop(
        goes_on,
        lambda at: [at + length(at)],
        [tf.constant(start, tf.int64)],
        maximum_iterations=MOST_SEGMENTS,
    )
    found = tf.cond(is_inside(at), lambda: is_exif(at), lambda: False)
    at = tf.where(found, at + header, size)
    return tf.strings.substr(encoded, at, MOST_BYTES)


def orientation_of(exif: tf.Tensor) -> tf.Tensor:
    """What the first directory of EXIF says, 1 to 8, int32; 1 where it says nothing or nonsense."""
    size = tf.cast(tf.strings.length(exif), tf.int64)
    exif = tf.strings.join([exif, b"\0" * ENTRY])  # so that there is something to read everywhere
    start = tf.strings.substr(exif, 0, 4)
    is_little = tf.equal(start, b"II*\0")
    at = tf.minimum(_number(exif, 4, 4, little_endian=is_little), size)
    count = _number(exif, at, 2, little_endian=is_little)
    entries = tf.io.decode_raw(tf.strings.substr(exif, at + 2, ENTRY * count), tf.uint8)
    entries = tf.cast(entries[: ENTRY * (tf.size(entries) // ENTRY)], tf.int32)
    entries = tf.reshape(entries, (-1, ENTRY))

    def column(index: int) -> tf.Tensor:
        one, other = entries[:, index], entries[:, index + 1]
        return tf.where(is_little, one + 256 * other, 256 * one + other)

    value = tf.concat([column(8)[column(0) == ORIENTATION], [1]], 0)[0]
    is_one = (is_little | tf.equal(start, b"MM\0*")) & (value >= 1) & (value <= len(UPRIGHT))
    return tf.where(is_one, value, 1)


def _number(
    data: tf.Tensor, at: tf.Tensor | int, count: int, *, little_endian: tf.Tensor | bool = False
) -> tf.Tensor:
    """The number of `count` bytes at a place, int64."""
    digits = tf.io.decode_raw(tf.strings.substr(data, at, count), tf.uint8)
    digits = tf.cast(tf.ensure_shape(digits, (count,)), tf.int64)
    digits = tf.where(little_endian, digits, digits[::-1])  # the least first
    return tf.reduce_sum(digits * tf.constant([256**i for i in range(count)], tf.int64))
