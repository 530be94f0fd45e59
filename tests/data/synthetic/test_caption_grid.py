"""Grids with captions: what is said is what is drawn, where it is said to be."""

from __future__ import annotations

import numpy as np
import pytest

from keras_attn.data.synthetic import caption_grid


def test_words_are_of_their_cells():
    found = caption_grid(40, cells=3, cell_size=10, shapes=5, seed=3)
    assert found.images.shape == (40, 30, 30, 3) and found.tokens.shape == (40, 11)
    colours = {"red": [1, 0, 0], "green": [0, 1, 0], "blue": [0, 0, 1], "yellow": [1, 1, 0]}
    for image, tokens, cells in zip(found.images, found.tokens, found.cells, strict=True):
        count = int((tokens > 0).sum())
        assert count in (4, 6, 8, 10) and (tokens[count:] == 0).all()
        assert (cells[count:] == -1).all() and (np.diff(cells[:count:2]) > 0).all()
        assert (cells[:count:2] == cells[1:count:2]).all()
        is_drawn = np.zeros((3, 3), bool)
        for place, token in zip(cells[:count:2], tokens[:count:2], strict=True):
            row, column = divmod(int(place), 3)
            is_drawn[row, column] = True
            middle = image[row * 10 + 4 : row * 10 + 6, column * 10 + 4 : column * 10 + 6]
            assert ((middle.mean((0, 1)) > 128) == colours[found.words[token]]).all()
        bright = (image.max(-1) > 128).reshape(3, 10, 3, 10).sum((1, 3)) > 10
        np.testing.assert_array_equal(bright, is_drawn)


def test_the_shapes():
    found = caption_grid(200, seed=1)
    sizes: dict[str, set[int]] = {}
    for image, tokens, cells in zip(found.images, found.tokens, found.cells, strict=True):
        for place, token in zip(cells[1::2], tokens[1::2], strict=True):
            if token > 0:
                row, column = divmod(int(place), 4)
                part = image[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
                lit = int((part.max(-1) > 128).sum())
                sizes.setdefault(found.words[token], set()).add(lit)
    assert sizes == {"square": {36}, "disc": {32}, "cross": {28}}


def test_a_seed_fixes_all():
    one, two, other = (caption_grid(5, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(one[:3], two[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.images != other.images).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "`count` must be a positive integer"),
        ({"cell_size": 5}, "`cell_size` must be an integer of at least 6"),
        ({"shapes": 17}, "`shapes` must be an integer from 2 to 16"),
        ({"seed": -1}, "`seed` must be"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        caption_grid(**{"count": 3, **options})
