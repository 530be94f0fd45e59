"""A picture is the same pixels to all who read it: training, predicting, calibrating, serving."""

import io
import struct
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_attn.cli.deployment.export import _read_images
from keras_attn.data.by_name import load_dataset
from keras_attn.explain import read_image as read_to_explain
from keras_attn.images import Preprocessing, image_files, image_size, read_image
from keras_attn.images.graph.decoding import decode_image

HEIGHT, WIDTH = 11, 7
RNG = np.random.default_rng(3)
RGB = Image.fromarray(RNG.integers(0, 256, (HEIGHT, WIDTH, 3)).astype("uint8"))
GREY = Image.fromarray(RNG.integers(0, 256, (HEIGHT, WIDTH)).astype("uint8"))
RAMP = np.linspace(0, 65535, HEIGHT * WIDTH).round().astype("uint16").reshape(HEIGHT, WIDTH)
PALETTE = RGB.quantize(16)


def file_of(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def with_alpha(picture, mode):
    return Image.merge(mode, (*picture.split(), Image.fromarray(np.asarray(GREY)[::-1].copy())))


def exif(orientation, order=">"):
    tags = Image.Exif()
    tags.endian = order
    tags[0x010F], tags[0x0112], tags[0x0128] = "maker", orientation, 2
    return tags.tobytes()


def without_adobe(jpeg):
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big") :]


# What both read, and of each what kind of file it is.
READ = {
    "rgb.png": file_of(RGB, "PNG"),
    "grey.png": file_of(GREY, "PNG"),
    "one_bit.png": file_of(GREY.convert("1"), "PNG"),
    "sixteen_bits.png": file_of(Image.fromarray(RAMP), "PNG"),
    "palette.png": file_of(PALETTE, "PNG"),
    "palette_with_one_transparent.png": file_of(PALETTE, "PNG", transparency=3),
    "palette_with_transparencies.png": file_of(PALETTE, "PNG", transparency=bytes(range(16))),
    "rgba.png": file_of(with_alpha(RGB, "RGBA"), "PNG"),
    "grey_and_alpha.png": file_of(with_alpha(GREY, "LA"), "PNG"),
    "grey_with_one_transparent.png": file_of(GREY, "PNG", transparency=7),
    "animated.png": file_of(RGB, "PNG", save_all=True, append_images=[ImageOps.flip(RGB)]),
    "rgb.jpg": file_of(RGB, "JPEG"),
    "grey.jpg": file_of(GREY, "JPEG"),
    "progressive.jpg": file_of(RGB, "JPEG", progressive=True, quality=40),
    "full_colour.jpg": file_of(RGB, "JPEG", subsampling=0),
    "not_ycc.jpg": file_of(RGB, "JPEG", keep_rgb=True),
    "cmyk.jpg": file_of(RGB.convert("CMYK"), "JPEG"),
    "cmyk_not_by_adobe.jpg": without_adobe(file_of(RGB.convert("CMYK"), "JPEG")),
    "two_pictures.jpg": file_of(RGB, "MPO", save_all=True, append_images=[ImageOps.flip(RGB)]),
    "palette.gif": file_of(PALETTE, "GIF"),
    "transparent.gif": file_of(PALETTE, "GIF", transparency=3),
    "animated.gif": file_of(PALETTE, "GIF", save_all=True, append_images=[ImageOps.flip(PALETTE)]),
    "rgb.bmp": file_of(RGB, "BMP"),
    "grey.bmp": file_of(GREY, "BMP"),
    "palette.bmp": file_of(PALETTE, "BMP"),
    "rgba.bmp": file_of(with_alpha(RGB, "RGBA"), "BMP"),
    "lossless.webp": file_of(RGB, "WEBP", lossless=True),
    "lossy.webp": file_of(RGB, "WEBP"),
    "rgba.webp": file_of(with_alpha(RGB, "RGBA"), "WEBP", lossless=True, exact=True),
    **{
        f"orientation{number}_{order}.{kind}": file_of(RGB, pillows, exif=exif(number, byte_order))
        for number in range(1, 10)
        for order, byte_order in (("big", ">"), ("little", "<"))
        for kind, pillows in (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"))
    },
}  # fmt: skip


@tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
def served(encoded):
    return decode_image(encoded, 3), decode_image(encoded, 1)


@pytest.mark.parametrize("name", READ)
def test_read_and_served_alike(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(READ[name])
    rgb, grey = (pixels.numpy() for pixels in served(READ[name]))
    np.testing.assert_array_equal(read_image(path, (None, None, 3)), rgb)
    np.testing.assert_array_equal(read_image(path, (None, None, 1)), grey)
    assert image_size(path) == rgb.shape[:2]


def test_trained_alike(tmp_path):
    """All in one folder, of one size where they lie as they should."""
    for which in ("train", "test"):
        (tmp_path / which / "a").mkdir(parents=True)
        for name, data in READ.items():
            (tmp_path / which / "a" / name).write_bytes(data)
    with pytest.raises(ValueError, match="whose images differ in size"):
        load_dataset(tmp_path)
    split = load_dataset(tmp_path, image_size=(HEIGHT, WIDTH), squash=True).train
    upright = 0
    for path, image in zip(split.paths, split.read(np.arange(len(split))), strict=True):
        rgb, _ = served(READ[path.removeprefix("train/a/")])
        if rgb.shape[:2] == (HEIGHT, WIDTH):
            np.testing.assert_array_equal(image, rgb, err_msg=path)
            upright += 1
    assert len(split) == len(READ) and upright > len(READ) / 2


@pytest.mark.parametrize("channels", [1, 3])
def test_calibrated_alike(tmp_path, channels):
    """What lies beside the images is passed over, as it is in training."""
    for name in (".DS_Store", "labels.csv", ".hidden.png"):
        (tmp_path / name).write_bytes(b"no image")
    names = [name for name in sorted(READ) if "orientation" not in name]
    for name in names:
        (tmp_path / name).write_bytes(READ[name])
    network = SimpleNamespace(preprocessing=Preprocessing((HEIGHT, WIDTH)), channels=channels)
    images = _read_images(str(tmp_path), network)
    for name, image in zip(names, images, strict=True):
        expected = served(READ[name])[channels == 1].numpy()
        np.testing.assert_array_equal(image, expected, err_msg=name)


@pytest.mark.parametrize("number", range(1, 10))
def test_upright(number):
    """By where EXIF says that row 0 and column 0 of what is stored belong."""
    stored = np.asarray(RGB)
    upright = {
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: stored[::-1].transpose(1, 0, 2),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: stored[:, ::-1].transpose(1, 0, 2),
    }.get(number, stored)
    rgb, _ = served(READ[f"orientation{number}_big.png"])
    np.testing.assert_array_equal(rgb, upright)


def numbers(mode):
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "int32", "F": "float32"}[mode]
    return Image.fromarray(RAMP.astype(dtype))


@pytest.mark.parametrize(
    "mode, kind",
    [("I;16", "PNG"), ("I;16", "TIFF"), ("I;16B", "PNG"), ("I;16B", "TIFF"), ("I", "TIFF")],
)
def test_sixteen_bits_keep_their_high_byte(mode, kind, tmp_path):
    path = tmp_path / f"ramp.{kind.lower()}"
    path.write_bytes(file_of(numbers(mode), kind))
    assert numbers(mode).mode == mode
    grey = read_image(path, (None, None, 1))
    np.testing.assert_array_equal(grey[..., 0], RAMP >> 8)
    np.testing.assert_array_equal(read_image(path, (None, None, 3)), np.repeat(grey, 3, -1))


def tiff(bits, photometric, data, width, height):
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric)]
    entries += [(273, 8 + 2 + 12 * 9 + 4), (277, 1), (278, height), (279, len(data))]
    directory = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + b"\0" * 4 + data


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("twelve_bits.tif", tiff(12, 1, bytes.fromhex("0008007ffff0"), 4, 1), [0, 128, 127, 255]),
        ("white_is_zero.tif", tiff(16, 0, struct.pack("<4H", 0, 255, 256, 65535), 4, 1), None),
        ("ten_bits.pgm", b"P5 4 1 1000\n" + struct.pack(">4H", 0, 4, 500, 1000), [0, 1, 128, 255]),
        ("floats.tif", file_of(Image.fromarray(np.array([[0, 1.5, 2.4, 255]], "f")), "TIFF"), None),
    ],
)
def test_other_ranges(name, data, expected, tmp_path):
    (tmp_path / name).write_bytes(data)
    expected = expected or {"w": [255, 255, 254, 0], "f": [0, 2, 2, 255]}[name[0]]
    assert read_image(tmp_path / name, (None, None, 1)).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([[0, 70000]], "int32"), "whole numbers must be of 0 to 65535, not of 0 to 70000"),
        (np.array([[-1, 7]], "int32"), "whole numbers must be of 0 to 65535, not of -1 to 7"),
        (RAMP.astype("float32"), "floating-point numbers must be pixels of 0 to 255, not of 0 to"),
        (RAMP.astype("float32") / 65535, "must be pixels of 0 to 255, not of 0 to 1; save it with"),
        (
            np.array([[np.nan, 7]], "float32"),
            "must be pixels of 0 to 255, not of nan to nan; save it with",
        ),
    ],
)
def test_a_range_that_is_not_known_is_refused(values, reason, tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(values).save(path)
    with pytest.raises(ValueError, match=rf"`path` must be an image .*a\.tif': .*{reason}"):
        read_image(path, (None, None, 3))


@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "palette.gif", "rgb.bmp", "lossy.webp"])
def test_a_truncated_file_is_refused_by_all(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(READ[name][: len(READ[name]) // 2])
    with pytest.raises(ValueError, match=f"`path` must be an image that Pillow reads. .*{name}"):
        read_image(path, (None, None, 3))
    with pytest.raises(tf.errors.InvalidArgumentError):
        served(path.read_bytes())


def test_what_a_server_can_not_decode_has_a_reason():
    flipped = [ImageOps.flip(RGB)]
    animated = file_of(RGB, "WEBP", lossless=True, save_all=True, append_images=flipped)
    with pytest.raises(tf.errors.InvalidArgumentError, match="WebP with an animation"):
        served(animated)
    for picture in (RGB.convert("1"), numbers("I;16")):
        with pytest.raises(tf.errors.InvalidArgumentError, match="channels|Unknown image file"):
            served(file_of(picture, "BMP" if picture.mode == "1" else "TIFF"))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow reads other tags, too, and says so
@pytest.mark.parametrize("kind", ["jpg", "webp"])  # a PNG has checksums
def test_broken_exif_is_read_alike(kind, tmp_path):
    """Each byte of its header and of its first directory made 0xFF, and each cut off there."""
    whole = READ[f"orientation6_big.{kind}"]
    begin, upright = whole.index(b"MM\0*"), 0
    for place in range(begin - 4, begin + 38):
        for data in (whole[:place] + b"\xff" + whole[place + 1 :], whole[: place + 1]):
            path = tmp_path / f"a.{kind}"
            path.write_bytes(data)
            try:
                there, _ = served(data)
            except tf.errors.InvalidArgumentError:
                there = None
            try:
                here = read_image(path, (None, None, 3))
            except ValueError:
                here = None
            if here is not None and there is not None:
                np.testing.assert_array_equal(here, there, err_msg=f"{place - begin}")
                upright += here.shape == (WIDTH, HEIGHT, 3)
    assert upright > 0


def test_a_file_of_empty_segments_takes_no_time():
    """The search ends after so many, and the decoder has the last word."""
    with pytest.raises(tf.errors.InvalidArgumentError):
        served(b"\xff\xd8" + b"\xff\xe0\0\x02" * 10**5)


def test_the_image_files_of_a_folder(tmp_path):
    for name in ("b.PNG", "a/deep/1.jpg", "c.tiff", "labels.csv", ".DS_Store", "._b.png", "d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints/b-checkpoint.png").touch()
    (tmp_path / "folder.png").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)]
    assert found == ["a/deep/1.jpg", "b.PNG", "c.tiff"]
    assert image_files(tmp_path / ".ipynb_checkpoints")  # asked for by its name
    assert image_files(tmp_path / "nowhere") == []


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"`image_shape` must be \(H, W, C\) with C 1 or 3"):
        read_image(tmp_path / "a.png", (7, 5, 2))
    for read in (image_size, lambda path: read_image(path, (7, 5, 3))):
        with pytest.raises(FileNotFoundError, match="which is no file"):
            read(tmp_path)
    assert read_to_explain is read_image
