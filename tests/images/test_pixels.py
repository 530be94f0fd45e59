"""The graph's way of a picture is Pillow's, to a level of rounding of a few values."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_attn.images import Preprocessing
from keras_attn.images.graph import orientation as graph_orientation
from keras_attn.images.graph import pixels
from keras_attn.images.orientation import exif_of_jpeg


@pytest.mark.parametrize("shape", [(50, 40), (33, 90), (224, 224), (7, 9), (40, 35)])
@pytest.mark.parametrize(
    "how",
    [
        Preprocessing((32, 24)),
        Preprocessing((9, 32)),
        Preprocessing((32, 32), crop=0.875, interpolation="bicubic"),
        Preprocessing((24, 32), crop=0.95),
        Preprocessing((32, 32), crop=1.0),
    ],
    ids=["whole", "broad", "bicubic crop", "crop", "crop of all"],
)
def test_resizing_and_cropping(how, shape):
    """Noise, black and white too: one level at most, and that of one value in twenty-five."""
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), "uint8")
    ours, graph = how.fit(image), pixels.resize(how, image[None])[0].numpy()
    assert ours.shape == graph.shape == (*how.size, 3)
    difference = np.abs(ours.astype(int) - graph)
    assert difference.max() <= 1 and (difference > 0).mean() <= 0.04


@pytest.mark.parametrize("shape", [(343, 256), (345, 256), (256, 347)])
def test_the_centre_is_torchvisions(shape):
    """Of an odd number of lines left over, the half goes to the even one: 59.5 becomes 60."""
    rows, columns = np.indices(shape)
    image = np.stack([rows % 256, columns % 256, rows // 256 + 2 * (columns // 256)], -1)
    how = Preprocessing((224, 224), crop=0.875)
    ours = how.fit(image.astype("uint8"))
    top, left = (round((side - 224) / 2) for side in shape)
    assert ours[0, 0].tolist() == [top, left, 0]
    np.testing.assert_array_equal(pixels.resize(how, image[None].astype("uint8"))[0], ours)


@pytest.mark.parametrize("channels", [1, 3])
def test_files(tmp_path, channels):
    image = np.random.default_rng(0).integers(0, 256, (9, 12, 3), "uint8")
    Image.fromarray(image).save(tmp_path / "a.png")
    how = Preprocessing((9, 12), mean=(120.0,), std=(60.0,))
    ours = how.read(tmp_path / "a.png", channels)
    graph = pixels.decode(how, tf.constant([(tmp_path / "a.png").read_bytes()]), channels)
    np.testing.assert_array_equal(ours, graph[0])
    np.testing.assert_allclose(
        how.normalise(ours), pixels.normalise(how, graph[0]), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(50, 40), (13, 90), (7, 9)])
def test_a_mirrored_part_is_the_part_mirrored(shape, interpolation):
    images = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), "uint8")
    scale = tf.constant([32 / shape[0], 24 / shape[1]], tf.float32)
    arguments = (images, scale, tf.zeros(2), (32, 24), interpolation)
    plain = pixels.resize_part(*arguments).numpy()
    for mirrored, expected in ((True, plain[:, :, ::-1]), (False, plain)):
        found = pixels.resize_part(*arguments, tf.constant(mirrored))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(20, 15), (32, 24), (25, 60)])
def test_antialiasing_changes_nothing_that_becomes_larger(shape):
    """So it costs nothing to ask for it always: the kernel is two pixels wide in any case."""
    image = tf.constant(np.random.default_rng(0).integers(0, 256, (1, *shape, 3), "uint8"))
    found = [
        tf.raw_ops.ScaleAndTranslate(
            images=image, size=[32, 64], scale=[32 / shape[0], 64 / shape[1]],
            translation=[0.0, 0.0], kernel_type="triangle", antialias=antialias,
        )
        for antialias in (True, False)
    ]  # fmt: skip
    np.testing.assert_array_equal(*found)


def jpeg_heads():
    """Segments of all kinds in any order, broken ones among them."""
    rng = np.random.default_rng(4)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"

    def segment(marker, content, length=None):
        length = len(content) + 2 if length is None else length
        return bytes([0xFF, marker]) + int(length).to_bytes(2, "big") + content

    pieces = [
        segment(0xE0, b"JFIF\0" + bytes(9)), segment(0xE1, exif), segment(0xE1, exif[:8]),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0"), segment(0xFE, b"Exif\0\0 is not here"),
        segment(0xDA, bytes(20)), b"\xff\xff\xff", b"\0\0\0", segment(0xDB, bytes(9), 60000),
        segment(0xE2, b"", 0), segment(0xE1, b"Exif\0"),
    ]  # fmt: skip
    for _ in range(60):
        chosen = rng.choice(len(pieces), rng.integers(0, 6))
        yield b"\xff\xd8" + b"".join(pieces[i] for i in chosen) + bytes(rng.integers(0, 30))


def test_exif_is_found_where_the_graph_finds_it():
    of_graph = tf.function(graph_orientation.exif_of_jpeg, autograph=False)
    found = [(exif_of_jpeg(head), of_graph(tf.constant(head)).numpy()) for head in jpeg_heads()]
    assert all(ours == theirs for ours, theirs in found)
    assert 5 < sum(bool(ours) for ours, _ in found) < 40
