"""The page draws objects, classes of pixels and captions as `keras_attn.explain` does."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from PIL import Image, ImageDraw

from helpers.answering_models import PIXELS, SIZE, captioner, detector
from helpers.pages.served import canvas, check_alike, served, slide
from keras_attn.explain import blend
from keras_attn.explain.drawing.masks import _coloured, colour_of
from keras_attn.explain.drawing.pictures import panel_of
from keras_attn.explain.scale import SHARE
from keras_attn.images import Preprocessing

pytestmark = pytest.mark.browser

BRIGHT = PIXELS[2]


def text(page, element):
    return page.evaluate(f"document.getElementById('{element}').textContent")


def is_hidden(page, element):
    return page.evaluate(f"document.getElementById('{element}').hidden")


def rows(page):
    return page.evaluate(
        "[...document.querySelectorAll('#classes tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )


def squares():
    """A red quarter and a green one: what `detector` finds."""
    pixels = np.full((*SIZE, 3), 100, "uint8")
    pixels[:6, :8], pixels[6:, 8:] = (250, 100, 100), (100, 220, 100)
    return pixels


def test_objects(browser, tmp_path):
    pixels = squares()
    [found] = detector().detect(pixels[None].astype("float32"))
    assert found["classes"].tolist() == [0, 1]
    with served(browser, detector(), pixels, tmp_path) as page:
        times = 18  # of the panel, whose longer side has at least 288 pixels
        panel = panel_of(pixels)
        pen = ImageDraw.Draw(panel)
        for (left, top, width, height), number in zip(
            found["boxes"] * times, found["classes"], strict=True
        ):
            place = (left, top, left + width, top + height)
            pen.rectangle(place, outline=colour_of(int(number) + 1), width=3)
        np.testing.assert_array_equal(canvas(page, "found"), np.asarray(panel))
        scores = [f"{100 * score:.1f} %" for score in found["scores"]]
        assert rows(page) == [["disk", scores[0]], ["square", scores[1]]]
        assert text(page, "table-title") == "Objects"
        label = page.evaluate("document.getElementById('found').ariaLabel")
        assert label == (
            "Objects in frames over the picture: disk, 25 % down, 25 % across; "
            "square, 75 % down, 75 % across."
        )
        assert is_hidden(page, "overlay-panel") and is_hidden(page, "layer-part")


def test_no_object(browser, tmp_path):
    grey = np.full((*SIZE, 3), 100, "uint8")
    with served(browser, detector(), grey, tmp_path) as page:
        np.testing.assert_array_equal(canvas(page, "found"), np.asarray(panel_of(grey)))
        assert rows(page) == []
        assert "no object, in" in text(page, "message")


def segmenter():
    """The class of a place is the channel that is the greatest, at half the image's size."""
    image = keras.Input((*SIZE, 3))
    x = keras.layers.AveragePooling2D(2)(keras.layers.Rescaling(1 / 25)(image))
    return keras.Model(image, keras.layers.Softmax()(x))


def test_classes_of_pixels(browser, tmp_path):
    mask = BRIGHT.reshape(6, 2, 8, 2, 3).mean((1, 3)).argmax(-1)
    assert len(np.unique(mask)) == 3
    with served(browser, segmenter(), BRIGHT, tmp_path, ["ground", "sea", "land"]) as page:
        check_alike(canvas(page, "found"), _coloured(BRIGHT, mask))
        shares = 100 * np.bincount(mask.ravel()) / mask.size
        names = ["ground", "sea", "land"]
        assert dict(rows(page)) == {
            name: f"{share:.1f} %" for name, share in zip(names, shares, strict=True)
        }
        assert text(page, "table-title") == "Classes of pixels"
        assert is_hidden(page, "overlay-panel")


def test_a_mask_of_the_centre(browser, tmp_path):
    """A network that crops answers of a part of the picture, which is drawn."""
    wide = np.concatenate([np.zeros((12, 8, 3), "uint8"), BRIGHT, np.zeros((12, 8, 3), "uint8")], 1)
    whole = np.asarray(Image.fromarray(wide).resize((64, 24), Image.Resampling.NEAREST))
    with served(
        browser, segmenter(), whole, tmp_path, preprocessing=Preprocessing(SIZE, crop=1.0)
    ) as page:
        found = canvas(page, "image")
        assert found.shape[1] / found.shape[0] == SIZE[1] / SIZE[0]
        assert (found.reshape(-1, 3).max(0) > 0).all() and found[:, 0].any() and found[:, -1].any()


def test_a_caption(browser, tmp_path):
    model = captioner()
    found = model.generate(PIXELS.astype("float32"), max_length=4)
    which = max(range(3), key=lambda number: len(found["captions"][number].split()))
    caption, pixels = found["captions"][which], PIXELS[which]
    words = caption.split()
    assert len(words) > 1
    with served(browser, model.writer(4), pixels, tmp_path) as page:
        [[label, score]] = rows(page)
        assert label == caption and score == f"log p {found['scores'][which]:.2f}"
        assert text(page, "table-title") == "Caption" and is_hidden(page, "found-panel")
        assert text(page, "head-title") == "Word" and text(page, "head-name") == "all, their mean"
        looked = np.asarray(found["attention"])[which]
        for number, word in enumerate(words, start=1):
            slide(page, "head", number)
            assert text(page, "head-name") == f"{number}: {word}"
            heat = SHARE.of(looked[number - 1][None])[0]
            check_alike(canvas(page, "overlay"), blend(pixels, heat, scale=(0, 1)))
