"""Pictures of boxes and of captions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from keras_attn.explain import draw_boxes, draw_captions
from keras_attn.explain.drawing.masks import colour_of

IMAGES = np.full((2, 24, 32, 3), 200, "uint8")
HALF, REST = slice(0, 72), slice(-72, None)
FOUND = [
    {"boxes": np.array([[8.0, 4, 16, 12]]), "classes": np.array([1]), "scores": np.array([0.9])},
    {"boxes": np.zeros((0, 4)), "classes": np.zeros(0, int)},
]


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_each_box_is_framed_at_its_place(tmp_path):
    by_title = {"right": FOUND, "found": FOUND[::-1]}
    pixels = pixels_of(draw_boxes(IMAGES, by_title, tmp_path / "a.png"))
    # Panels are 9 times as large, 288 x 216.
    for row, column, is_framed in ((0, 0, True), (1, 0, False), (0, 1, False), (1, 1, True)):
        top, left = 32 + row * (216 + 16), 16 + column * (288 + 16)
        panel = pixels[top : top + 216, left : left + 288]
        frame = np.zeros((216, 288), bool)
        frame[36:145, 72:217] = True
        frame[39:142, 75:214] = False
        framed = (panel == colour_of(2)).all(-1)
        assert framed[frame].all() if is_framed else not framed.any()
        assert (panel[44:130, 80:200] == 200).all()  # nothing is filled


def test_a_panel_for_each_word(tmp_path):
    attention = np.zeros((2, 3, 1, 2))
    attention[:, 0, 0, 0] = attention[:, 1, 0, 1] = 1
    words = [["red", "disk"], []]
    pixels = pixels_of(draw_captions(IMAGES, words, attention, tmp_path / "a.png"))
    assert pixels.shape[1] < 16 + 4 * (288 + 16)  # two words, not three steps
    panels = [pixels[52 : 52 + 216, 16 + n * 304 : 16 + n * 304 + 288].astype(int) for n in (1, 2)]
    left, right = ([panel[:, part, 1].mean() for panel in panels] for part in (HALF, REST))
    assert left[0] > right[0] + 30 and left[1] < right[1] - 30  # green rises with the attention


@pytest.mark.parametrize(
    ("found", "names", "message"),
    [
        (FOUND[:1], None, "a dict for each of 2 images. Received: 'found' with 1"),
        ([{"boxes": np.zeros((2, 4)), "classes": np.zeros(1)}] * 2, None, r"boxes \(M, 4\)"),
        (FOUND, ["disk"], "`class_names` must name the classes, up to 1. Received: 1 names"),
    ],
)
def test_wrong_boxes(tmp_path, found, names, message):
    with pytest.raises(ValueError, match=message):
        draw_boxes(IMAGES, found, tmp_path / "a.png", class_names=names)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("shape", [(2, 1, 1, 2), (1, 3, 1, 2), (2, 3, 2)])
def test_wrong_captions(tmp_path, shape):
    with pytest.raises(ValueError, match=r"`attention` must be \(B, T, h, w\) for 2 images"):
        draw_captions(IMAGES, [["red", "disk"], []], np.zeros(shape), tmp_path / "a.png")
