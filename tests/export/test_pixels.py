"""The graph's way of a picture is Pillow's, to a level of rounding."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_attn.export.graph import pixels
from keras_attn.images import Preprocessing


@pytest.mark.parametrize("shape", [(50, 40), (33, 90), (224, 224), (7, 9)])
@pytest.mark.parametrize(
    "how",
    [
        Preprocessing((32, 24)),
        Preprocessing((32, 32), crop=0.875, interpolation="bicubic"),
        Preprocessing((24, 32), crop=0.95),
        Preprocessing((32, 32), crop=1.0),
    ],
    ids=["whole", "bicubic crop", "crop", "crop of all"],
)
def test_resizing_and_cropping(how, shape):
    rng = np.random.default_rng(0)
    # Pillow rounds, and cuts off what is over, after the rows already: so no black and no white.
    coarse = Image.fromarray(rng.integers(60, 196, (6, 6, 3), "uint8"))
    image = np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC))
    ours, graph = how.fit(image), pixels.resize(how, image[None])[0].numpy()
    assert ours.shape == graph.shape == (*how.size, 3)
    assert np.abs(ours.astype(int) - graph).max() <= 1


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
