"""Pictures of masks: each class in its colour, over a grey image."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from keras_attn.explain import draw_masks
from keras_attn.explain.drawing.masks import COLOURS, colour_of

IMAGES = np.full((2, 4, 6, 3), 100, "uint8")
MASKS = np.zeros((2, 2, 3), "int64")
MASKS[0, 0, 1], MASKS[1, 1, 2] = 1, 9


def test_each_class_has_its_colour_at_its_place(tmp_path):
    path = draw_masks(IMAGES, {"right": MASKS, "found": MASKS[::-1]}, tmp_path / "a" / "masks.png")
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    for row, column, number in ((0, 1, 1), (1, 1, 9), (0, 2, 9), (1, 2, 1)):
        mask = MASKS[row] if column == 1 else MASKS[::-1][row]
        top, left = 32 + row * (192 + 16), 16 + column * (288 + 16)
        panel = pixels[top : top + 192, left : left + 288]
        expected = 0.6 * np.array(colour_of(number)) + 0.4 * 100
        for y, x in np.ndindex(2, 3):
            cell = panel[y * 96 : (y + 1) * 96, x * 96 : (x + 1) * 96]
            wanted = expected if mask[y, x] else [100] * 3
            assert np.abs(cell - np.array(wanted)).max() <= 1
    assert colour_of(1) == COLOURS[0] and colour_of(9) == COLOURS[1]


@pytest.mark.parametrize(
    ("masks", "options", "message"),
    [
        (MASKS[:1], {}, r"one for each of 2 images. Received: 'mask' with shape \(1, 2, 3\)"),
        (MASKS[..., None], {}, r"`masks` must be integers \(B, h, w\)"),
        (MASKS.astype("float32"), {}, "of float32"),
        (MASKS, {"class_names": ["ground", "disk"]}, "must name the masks' 10 classes.*2 names"),
    ],
)
def test_wrong_arguments(tmp_path, masks, options, message):
    with pytest.raises(ValueError, match=message):
        draw_masks(IMAGES, masks, tmp_path / "masks.png", **options)
    assert not (tmp_path / "masks.png").exists()
