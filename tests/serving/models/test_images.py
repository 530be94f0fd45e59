"""The size of an image by its header, against what PIL made."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import PIL.Image
import pytest

from helpers.image_bombs import bomb
from keras_attn.serving.errors import ServingError
from keras_attn.serving.models.images import PixelBudget, image_size, network_sides
from keras_attn.serving.models.signatures import Signature, TensorInfo


def encode(format, width=7, height=13, **arguments):
    file = io.BytesIO()
    PIL.Image.new("RGB", (width, height), (1, 2, 3)).save(file, format, **arguments)
    return file.getvalue()


@pytest.mark.parametrize(
    ("format", "arguments"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("BMP", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0"}),  # in the extended form
    ],
)
def test_sizes(format, arguments):
    data = encode(format, **arguments)
    assert image_size(data) == (13, 7)
    for length in range(len(data)):  # cut off anywhere: no error, and no other size
        assert image_size(data[:length]) in (None, (0, 0), (13, 7))


def test_a_jpeg_with_what_cameras_put_before_the_picture():
    exif = PIL.Image.Exif()
    exif[0x010E] = "x" * 5000
    assert image_size(encode("JPEG", exif=exif, comment=b"\xff\xc0" * 50)) == (13, 7)


def animation(format):
    frames = [PIL.Image.new("RGBA", (7, 13), (40 * i, 5, 9, 200)) for i in range(5)]
    file = io.BytesIO()
    frames[0].save(file, format, save_all=True, append_images=frames[1:], optimize=False)
    return file.getvalue()


def test_the_pictures_of_an_animation_add_up():
    assert image_size(animation("GIF")) == (5 * 13, 7)


def test_an_animation_that_crashes_the_decoder_is_refused():
    with pytest.raises(ServingError, match="must not be animated WebP"):
        image_size(animation("WEBP"))


def test_a_gif_of_any_year():
    """TensorFlow looks at four letters."""
    assert image_size(b"GIF88a" + encode("GIF")[6:]) == (13, 7)


def test_what_is_no_image_has_no_size():
    generator = np.random.default_rng(0)
    starts = (b"", b"\xff\xd8", b"\xff\xd8\xff", b"GIF89a", b"BM", b"\x89PNG\r\n\x1a\n")
    for start in (*starts, b"RIFF1234WEBPVP8L", b"RIFF1234WEBPVP8X"):
        for _ in range(50):
            with contextlib.suppress(ServingError):  # it may look like an animation
                image_size(start + generator.bytes(40))
    assert image_size(b"text") is None
    assert image_size(b"\xff\xd8" + b"\xff" * 2_000_000) == (0, 0)  # would not end by n x n


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 500_000,  # segments without an end
        b"\xff\xd8" + b"\xff\x01" * 1_000_000,
        b"GIF89a" + bytes(7) + b"\x21\x00" + b"\x01a" * 2_000_000,
    ],
)
def test_a_header_without_an_end_is_refused(data):
    with pytest.raises(ServingError, match="An image must have at most"):
        image_size(data)


@pytest.mark.parametrize("data", [b"\xff\x0a" + bytes(9), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(9)])
def test_what_cannot_be_measured_is_refused(data):
    with pytest.raises(ServingError, match="JPEG, PNG, GIF, BMP or WebP"):
        image_size(data)


def test_a_bomb_is_refused_before_it_is_decoded():
    one = PixelBudget(1000, sides=(1, 1))
    array = np.array([bomb(50_000, 50_000)], object)
    with pytest.raises(ServingError, match="at most 1000 pixels.* Received: 2500000000"):
        one.check_strings([array])
    PixelBudget(1000, sides=(1, 1), decodes=False).check_strings([array])  # the graph has texts
    most = PixelBudget(2_500_000_000, sides=(1, 1))
    most.check_strings([array, np.zeros(3)])
    with pytest.raises(ServingError, match="Received: 2500000001"):
        most.check_strings([np.array([bomb(50_000, 50_000), bomb(1, 1)], object)])


def test_what_resizing_makes_in_between_counts():
    """To 5 x 3, an image of 2 x 1000 becomes 5 x 1000 first, one of 1 x 1 becomes 5 x 3."""
    budget = PixelBudget(5000, sides=(5, 3))
    budget.check_strings([np.array([bomb(1000, 2)], object)])
    with pytest.raises(ServingError, match="Received: 5005"):
        budget.check_strings([np.array([bomb(1001, 2)], object)])
    with pytest.raises(ServingError, match="Received: 5010"):
        budget.check_strings([np.array([bomb(1, 1)] * 400, object)])


OPEN = Signature({"image": TensorInfo("uint8", (None, None, None, 3))}, {})


@pytest.mark.parametrize(
    ("shape", "received"), [((1, 2, 1001, 3), 5005), ((7, 30, 30, 3), 6300), ((400, 1, 1, 3), 6000)]
)
def test_numbers_are_images_too(shape, received):
    budget = PixelBudget(5000, sides=(5, 3))
    with pytest.raises(ServingError, match=f"Received: {received}"):
        budget.check_shapes(OPEN, {"image": shape})
    fixed = Signature({"image": TensorInfo("uint8", (None, *shape[1:]))}, {})
    budget.check_shapes(fixed, {"image": shape})  # the network's own size: nothing is resized
    budget.check_shapes(OPEN, {"other": shape})


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_picture_that_may_be_turned_counts_as_either(format):
    """Set upright by its EXIF, a high one becomes a wide one, whose resizing makes more."""
    budget = PixelBudget(5000, sides=(40, 3))
    budget.check_strings([np.array([encode(format, 100, 20)], object)])
    high = np.array([encode(format, 1, 200)], object)
    if format in ("GIF", "BMP"):
        budget.check_strings([high])
    else:
        with pytest.raises(ServingError, match="Received: 8000 or more"):
            budget.check_strings([high])


def test_the_sides_of_a_network():
    fixed = Signature({"image": TensorInfo("float", (None, 48, 32, 3))}, {})
    assert network_sides({"serve_uint8": OPEN, "serving_default": fixed}) == (48, 32)
    assert network_sides({"serve_uint8": OPEN}) == (224, 224)
