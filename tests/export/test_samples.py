"""Sample images that travel with an export."""

import json
import re

import keras
import numpy as np
import pytest
from PIL import Image

import keras_attn
from keras_attn.export import export_saved_model
from keras_attn.export.samples import MAX_SAMPLES, SAMPLES_FOLDER, read_samples


def pixels(height, width, *channels):
    return np.random.default_rng(0).integers(0, 256, (height, width, *channels)).astype("uint8")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    (folder / "dogs").mkdir(parents=True)
    Image.fromarray(pixels(600, 1100, 3)).save(folder / "My cat, 2.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.fromarray(pixels(20, 30, 3)).save(folder / "dogs" / "rex.jpg", exif=exif)
    (folder / "notes.txt").write_text("none of them")
    return folder


def test_they_are_upright_small_and_named(folder):
    found = read_samples(folder)
    assert {name: picture.size for name, picture in found.items()} == {
        "00_My_cat_2.jpg": (512, 279),
        "01_rex.jpg": (20, 30),
    }
    files = [str(folder / "My cat, 2.png"), pixels(5, 7), pixels(5, 7, 1), pixels(5, 7, 3)]
    mixed = read_samples(files)
    assert list(mixed) == ["00_My_cat_2.jpg", "01.jpg", "02.jpg", "03.jpg"]
    for picture, shape in zip(list(mixed.values())[1:], ((), (1,), (3,)), strict=True):
        np.testing.assert_array_equal(
            np.asarray(picture).reshape(5, 7, *shape), pixels(5, 7, *shape)
        )
    assert len(read_samples(pixels(2, 7, 5, 3))) == 2  # a batch


def test_wrong_samples_are_named(folder, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    empty = tmp_path / "empty"
    empty.mkdir()
    for samples, received in (
        (str(broken), f"samples={str(broken)!r}, no folder"),
        (empty, "in which no file is a .png, "),
        ([], "Received: 0 images"),
        ([pixels(2, 2)] * (MAX_SAMPLES + 1), f"Received: {MAX_SAMPLES + 1} images"),
        ([pixels(2, 2), broken], "samples[1]: `path` must be an image"),
        ([pixels(2, 2, 4)], "samples[0] of shape (2, 2, 4), uint8"),
        ([pixels(2, 2) / 255], "samples[0] of shape (2, 2), float64"),
        ([pixels(0, 2)], "samples[0] of shape (0, 2), uint8"),
        ([5], "samples[0] of int"),
    ):
        with pytest.raises(
            ValueError, match=r"`samples` must be a folder, .*" + re.escape(received)
        ):
            read_samples(samples)
    with pytest.raises(FileNotFoundError, match=r"samples\[0\]: .*which is no file"):
        read_samples([tmp_path / "gone.png"])


def test_an_export_brings_them_and_says_what_its_attention_is(tmp_path, folder, one_loader):
    image = keras.Input((8, 8, 3))
    x = keras_attn.layers.SqueezeExcite(ratio=1, name="gate")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, "softmax")(x))
    with pytest.raises(ValueError, match="Received: 0 images"):
        export_saved_model(model, tmp_path / "net", samples=[])
    assert not (tmp_path / "net").exists()

    version = export_saved_model(model, tmp_path / "net", samples=folder)
    files = sorted((version / SAMPLES_FOLDER).iterdir())
    assert [file.name for file in files] == ["00_My_cat_2.jpg", "01_rex.jpg"]
    with Image.open(files[1]) as picture:
        assert (picture.format, picture.size) == ("JPEG", (20, 30))
        assert not picture.getexif()
    report = json.loads((version / "assets.extra" / "export_report.json").read_text())
    assert report["attention"] == {"gate": "channel_gate"}
