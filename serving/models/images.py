"""How much the images in a request are once decoded and resized, before anything is decoded.

A PNG of some kilobytes may hold billions of pixels, and a shape of some bytes asks for any tensor.
TensorFlow decodes JPEG, PNG, GIF, BMP, WebP and JPEG XL by their first bytes, whatever an input is
called, so each string that a graph may decode is looked at. An image counts as the largest of what
is made of it: its own pixels; those that its resizing makes in between, as high as the network's
image and as wide as its own; and the network's.
"""

import dataclasses
import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from keras_attn.serving.errors import ServingError, invalid_argument
from keras_attn.serving.models.signatures import Signature

MAX_PIXELS = 64 * 2**20  # of all images of a request: five photographs of 12 million
# Of a network that doesn't say how large its images are: what most take.
USUAL_SIDES = (224, 224)
# A file has so many segments before its size, or sub-blocks, that it is made to be slow to read.
MAX_SEGMENTS = 2**16
MAX_BLOCKS = 2**20
_AFTER_FILLING = re.compile(b"[^\xff]")
# The markers of a JPEG that begin a frame and so carry its size; 0xC4, 0xC8 and 0xCC don't.
FRAME_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
ANIMATION = 0x02  # the flag of a WebP
# Those that stand alone: no length follows.
BARE_MARKERS = {0x01, *range(0xD0, 0xDA)}


@dataclasses.dataclass(frozen=True)
class PixelBudget:
    """How many pixels the images of one request may come to.

    Args:
        most: Pixels of all its images together.
        sides: Height and width of the image that the network takes, to which others are resized.
        decodes: Whether the graph decodes images, so that strings may be some.
    """

    most: int = MAX_PIXELS
    sides: tuple[int, int] = USUAL_SIDES
    decodes: bool = True

    def check_shapes(self, signature: Signature, shapes: Mapping[str, Sequence[int]]) -> None:
        """Raises INVALID_ARGUMENT where numeric images are too many or too large.

        Args:
            signature: Signature that is asked. What has four axes is images. Those as high and as
                wide as it says are as large as they become.
            shapes: Shapes of the inputs, by their names.
        """
        total = 0
        for name, shape in shapes.items():
            info = signature.inputs.get(name)
            if info is None or info.dtype == "string" or len(shape) != 4:
                continue
            if info.shape is None or tuple(shape[1:3]) != info.shape[1:3]:
                total += shape[0] * self._cost(shape[1], shape[2])
        self._check(total)

    def check_strings(self, arrays: Iterable[np.ndarray]) -> None:
        """Raises INVALID_ARGUMENT where what strings would decode to is too much."""
        if not self.decodes:
            return
        total = 0
        for array in arrays:
            if array.dtype != np.object_:
                continue
            for value in array.reshape(-1):
                size = image_size(value)
                if size is not None:
                    total += max(self._cost(*size), self._cost(*_turned(value, size)))
                    self._check(total)

    def _cost(self, height: int, width: int) -> int:
        rows, columns = self.sides
        return max(height * width, rows * width, rows * columns)

    def _check(self, total: int) -> None:
        if total > self.most:
            raise invalid_argument(
                f"The images of a request must have at most {self.most} pixels together, counted "
                f"as large as they are and as large as they become. Received: {total} or more"
            )


def _turned(data: bytes, size: tuple[int, int]) -> tuple[int, int]:
    """The size of what an export makes of a file that lies by its EXIF; not all formats have it."""
    return size if data.startswith((b"GIF8", b"BM")) else (size[1], size[0])


def network_sides(signatures: Mapping[str, Signature]) -> tuple[int, int]:
    """Height and width of the largest image that one of the signatures takes as it is."""
    found = []
    for signature in signatures.values():
        for info in signature.inputs.values():
            if info.shape is not None and len(info.shape) == 4:
                _, height, width, _ = info.shape
                if height is not None and width is not None:
                    found.append((height, width))
    return max(found, key=math.prod, default=USUAL_SIDES)


def image_size(data: bytes) -> tuple[int, int] | None:
    """Returns the height and the width of an image by its header; None of what is no image.

    The pictures of an animation count as one below the other. What is cut off before its size is
    known decodes to an error and has none.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith(b"\xff\xd8"):
            width, height = _jpeg_size(data)
        elif data.startswith(b"GIF8"):  # TensorFlow looks at no more
            width, height = max(_gif_sizes(data), key=math.prod)
        elif data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            width, height = _webp_size(data)
        elif data.startswith((b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n")):
            raise invalid_argument(
                "Images must be JPEG, PNG, GIF, BMP or WebP files: how much a JPEG XL file decodes "
                "to can't be known before"
            )
        else:
            return None
    except (struct.error, IndexError):
        return None
    return abs(height), abs(width)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = 2
    for _ in range(MAX_SEGMENTS):
        position = data.find(b"\xff", position)
        found = _AFTER_FILLING.search(data, position) if position >= 0 else None
        if found is None:
            return 0, 0
        marker, position = found[0][0], found.end()
        if marker in FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        if marker == 0xDA:  # the picture itself, without a frame before it
            return 0, 0
        if marker not in BARE_MARKERS and marker != 0:
            position += max(struct.unpack_from(">H", data, position)[0], 2)
    raise _too_many("segments before its size", MAX_SEGMENTS)


def _gif_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """The screen as often as there are pictures so far: all are decoded, each to the screen."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _gif_colours(flags)
    pictures = 0
    blocks = 0
    yield width, height
    while position < len(data) and data[position] in (0x21, 0x2C):
        if data[position] == 0x2C:
            if position + 10 > len(data):
                return
            pictures += 1
            yield width, height * pictures
            left, top, right, bottom, flags = struct.unpack_from("<HHHHB", data, position + 1)
            yield left + right, top + bottom
            position += 10 + _gif_colours(flags) + 1
        else:
            position += 2
        while position < len(data) and data[position]:
            position += data[position] + 1
            blocks += 1
            if blocks > MAX_BLOCKS:
                raise _too_many("blocks", MAX_BLOCKS)
        position += 1


def _gif_colours(flags: int) -> int:
    """Bytes of the table of colours that the flags announce."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _webp_size(data: bytes) -> tuple[int, int]:
    """Of the one picture; TensorFlow looks at the header's flag to see whether there are more."""
    kind, position = data[12:16], 20
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, position + 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, position + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind != b"VP8X":
        return 0, 0
    if data[position] & ANIMATION:
        raise invalid_argument(
            "Images must not be animated WebP files: TensorFlow's decoder can crash on one"
        )
    width = int.from_bytes(data[position + 4 : position + 7], "little") + 1
    height = int.from_bytes(data[position + 7 : position + 10], "little") + 1
    return width, height


def _too_many(parts: str, most: int) -> ServingError:
    return invalid_argument(f"An image must have at most {most} {parts}")
