"""How large the images in a request are once decoded, by their headers alone.

A PNG of some kilobytes may hold billions of pixels. TensorFlow decodes JPEG, PNG, GIF and BMP by
their first bytes, whatever an input is called, so each string that begins like one is looked at.
"""

import struct
from collections.abc import Iterable, Iterator

import numpy as np

from keras_attn.serving.errors import invalid_argument

MAX_PIXELS = 64 * 2**20  # of all images of a request: five photographs of 12 million
# The markers of a JPEG that begin a frame and so carry its size; 0xC4, 0xC8 and 0xCC don't.
FRAME_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
# Those that stand alone: no length follows.
BARE_MARKERS = {0x01, *range(0xD0, 0xDA)}


def check_images(arrays: Iterable[np.ndarray], *, max_pixels: int) -> None:
    """Raises INVALID_ARGUMENT where what a request sends would decode to too much.

    Args:
        arrays: The inputs; those of strings are looked at.
        max_pixels: Of all their images together.
    """
    total = 0
    for array in arrays:
        if array.dtype != np.object_:
            continue
        for value in array.reshape(-1):
            total += image_pixels(value)
            if total > max_pixels:
                raise invalid_argument(
                    f"The images of a request must have at most {max_pixels} pixels together. "
                    f"Received: {total} or more"
                )


def image_pixels(data: bytes) -> int:
    """Returns width x height of a JPEG, PNG or BMP, times the pictures of a GIF, else 0.

    What is cut off before its size is known decodes to an error and counts 0.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith(b"\xff\xd8"):
            width, height = _jpeg_size(data)
        elif data.startswith((b"GIF87a", b"GIF89a")):
            return max(_gif_pixels(data))
        elif data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
        else:
            return 0
    except (struct.error, IndexError):
        return 0
    return abs(width) * abs(height)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = 2
    while True:
        position = data.index(b"\xff", position) if b"\xff" in data[position:] else len(data)
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        position += 1
        if marker in FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        if marker == 0xDA:  # the picture itself, without a frame before it
            return 0, 0
        if marker not in BARE_MARKERS and marker != 0:
            position += struct.unpack_from(">H", data, position)[0]


def _gif_pixels(data: bytes) -> Iterator[int]:
    """The size of the screen times the pictures so far: all are decoded, each to the screen."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _gif_colours(flags)
    pictures = 0
    yield width * height
    while position < len(data) and data[position] in (0x21, 0x2C):
        if data[position] == 0x2C:
            if position + 10 > len(data):
                return
            pictures += 1
            yield width * height * pictures
            left, top, right, bottom, flags = struct.unpack_from("<HHHHB", data, position + 1)
            yield (left + right) * (top + bottom)
            position += 10 + _gif_colours(flags) + 1
        else:
            position += 2
        while position < len(data) and data[position]:
            position += data[position] + 1
        position += 1


def _gif_colours(flags: int) -> int:
    """Bytes of the table of colours that the flags announce."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
