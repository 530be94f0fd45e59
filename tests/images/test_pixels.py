"""The graph's way of a picture is Pillow's, to a level of rounding of a few values."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_attn.images import Preprocessing
from keras_attn.images.graph import pixels


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
