"""The size of an image by its header, against what PIL made."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from keras_attn.serving.errors import ServingError
from keras_attn.serving.images import check_images, image_pixels


def encode(format, width=7, height=13, **arguments):
    file = io.BytesIO()
    PIL.Image.new("RGB", (width, height), (1, 2, 3)).save(file, format, **arguments)
    return file.getvalue()


def bomb(width, height):
    """A PNG of some bytes that says it has this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
    )


@pytest.mark.parametrize(
    ("format", "arguments"),
    [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("BMP", {}), ("GIF", {})],
)
def test_sizes(format, arguments):
    data = encode(format, **arguments)
    assert image_pixels(data) == 7 * 13
    for length in range(len(data)):  # cut off anywhere: no error, and no other size
        assert image_pixels(data[:length]) in (0, 7 * 13)


def test_a_jpeg_with_what_cameras_put_before_the_picture():
    exif = PIL.Image.Exif()
    exif[0x010E] = "x" * 5000
    assert image_pixels(encode("JPEG", exif=exif, comment=b"\xff\xc0" * 50)) == 7 * 13


def test_the_pictures_of_a_gif_add_up():
    frames = [PIL.Image.new("P", (7, 13), i) for i in range(5)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], optimize=False)
    assert image_pixels(file.getvalue()) == 5 * 7 * 13


def test_what_is_no_image_counts_nothing():
    generator = np.random.default_rng(0)
    for start in (b"", b"\xff\xd8", b"\xff\xd8\xff", b"GIF89a", b"BM", b"\x89PNG\r\n\x1a\n"):
        for _ in range(50):
            assert image_pixels(start + generator.bytes(40)) >= 0
    assert image_pixels(b"text") == 0
    assert image_pixels(b"\xff\xd8" + b"\xff" * 100) == 0


def test_a_bomb_is_refused_before_it_is_decoded():
    array = np.array([bomb(50_000, 50_000)], object)
    with pytest.raises(ServingError, match="at most 1000 pixels together. Received: 2500000000"):
        check_images([array], max_pixels=1000)
    check_images([array, np.zeros(3)], max_pixels=2_500_000_000)
    with pytest.raises(ServingError, match="Received: 2500000001"):
        check_images(
            [np.array([bomb(50_000, 50_000), bomb(1, 1)], object)], max_pixels=2_500_000_000
        )
