"""From an image file to pixels in TensorFlow's graph, as `keras_attn.images` reads it elsewhere."""

import tensorflow as tf

from keras_attn.images.graph.orientation import (
    exif_of_jpeg,
    exif_of_png,
    exif_of_webp,
    set_upright,
)

# Shares of red, green and blue in grey, of 2**16: those that Pillow computes with.
GREY = (19595, 38470, 7471)
ANIMATED = "A WebP with an animation can't be decoded. Send one with a single picture."


def decode_image(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a JPEG, PNG, GIF, BMP or WebP file, upright.

    Args:
        encoded: The file, a scalar string.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        uint8 `(H, W, channels)`. Anything else than such a file raises InvalidArgumentError.
    """
    kinds = [
        tf.io.is_jpeg(encoded),
        _begins(encoded, b"\x89PNG\r\n\x1a\n"),
        _begins(encoded, b"RIFF") & tf.equal(tf.strings.substr(encoded, 8, 4), b"WEBP"),
        _begins(encoded, b"BM"),
    ]
    decoders = [_jpeg, _png, _webp, _bmp, _other]
    kind = tf.argmax(tf.stack([*kinds, True]), output_type=tf.int32)
    rgb = tf.switch_case(kind, [lambda decode=decode: decode(encoded) for decode in decoders])
    rgb = tf.ensure_shape(rgb, (None, None, 3))
    return rgb if channels == 3 else _grey(rgb)


def _begins(encoded: tf.Tensor, start: bytes) -> tf.Tensor:
    return tf.equal(tf.strings.substr(encoded, 0, len(start)), start)


def _jpeg(encoded: tf.Tensor) -> tf.Tensor:
    # The exact transform is what Pillow and browsers use; the default one is off by up to 4.
    rgb = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    return set_upright(rgb, exif_of_jpeg(encoded))


def _png(encoded: tf.Tensor) -> tf.Tensor:
    return set_upright(_other(encoded), exif_of_png(encoded))


def _webp(encoded: tf.Tensor) -> tf.Tensor:
    """With transparency it has four channels, and can't be asked for three.

    Asked for as many as there are, TensorFlow 2.21 writes an animation over the memory behind it.
    """
    is_extended = tf.equal(tf.strings.substr(encoded, 12, 4), b"VP8X")
    flags = tf.io.decode_raw(tf.strings.substr(encoded, 20, 1), tf.uint8)
    is_animated = is_extended & tf.reduce_any(tf.bitwise.bitwise_and(flags, 2) > 0)
    with tf.control_dependencies([tf.debugging.Assert(~is_animated, [ANIMATED])]):
        pixels = tf.io.decode_image(tf.identity(encoded), expand_animations=False)
    return set_upright(pixels[..., :3], exif_of_webp(encoded))


def _bmp(encoded: tf.Tensor) -> tf.Tensor:
    """One of 8 bits holds numbers of colours, which TensorFlow takes for grey."""
    pixels = _other(encoded)
    [bits] = tf.unstack(tf.io.decode_raw(tf.strings.substr(encoded, 28, 2), tf.int16), 1)
    numbers = pixels[..., 0]  # pyright: ignore[reportArgumentType]
    return tf.cond(tf.equal(bits, 8), lambda: _look_up(encoded, numbers), lambda: pixels)


def _look_up(encoded: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """The colours `(H, W, 3)` of numbers `(H, W)` in the palette of a BMP, which is BGR0."""
    [start] = tf.unstack(tf.io.decode_raw(tf.strings.substr(encoded, 10, 4), tf.int32), 1)
    [header] = tf.unstack(tf.io.decode_raw(tf.strings.substr(encoded, 14, 4), tf.int32), 1)
    size = tf.clip_by_value((start - 14 - header) // 4, 0, 256) * 4
    palette = tf.io.decode_raw(tf.strings.substr(encoded, 14 + header, size), tf.uint8)
    palette = tf.concat([tf.reshape(palette, (-1, 4)), tf.zeros((256, 4), tf.uint8)], 0)
    return tf.gather(palette[:, 2::-1], tf.cast(numbers, tf.int32))


def _other(encoded: tf.Tensor) -> tf.Tensor:
    rgb = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(rgb, (None, None, 3))


def _grey(rgb: tf.Tensor) -> tf.Tensor:
    grey = tf.reduce_sum(tf.cast(rgb, tf.int32) * tf.constant(GREY), -1, keepdims=True)
    return tf.cast((grey + 2**15) // 2**16, tf.uint8)
