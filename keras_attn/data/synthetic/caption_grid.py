"""Coloured shapes in the cells of a grid, and a sentence that names them in reading order."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_attn._checks import check_int, check_non_negative_int, check_positive_int

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0)}
SHAPES = ("square", "disc", "cross")
WORDS = ("", "[UNK]", *COLOURS, *SHAPES)


class Captions(NamedTuple):
    """Images, what they are called, and where each word comes from.

    Attributes:
        images: uint8 (N, H, W, 3).
        tokens: int32 (N, T): numbers of `words`, and 0 from a caption's end on.
        cells: int32 (N, T), the number of the cell that a word names, row by row; -1 after the end.
        words: The words by their numbers, as `keras.layers.TextVectorization` counts: the first
            stands for the end, the second for words that are not known.
    """

    images: np.ndarray[Any, Any]
    tokens: np.ndarray[Any, Any]
    cells: np.ndarray[Any, Any]
    words: tuple[str, ...]


def caption_grid(
    count: int, *, cells: int = 4, cell_size: int = 8, shapes: int = 4, seed: int = 0
) -> Captions:
    """Draws grids of which some cells hold a coloured shape, with their captions.

    A caption such as "red square blue disc" names colour and shape of each, row by row from the top
    left: where a word comes from is known.

    Args:
        count: Number N of images.
        cells: Number of cells along each side.
        cell_size: Side of a cell in pixels, 6 or more.
        shapes: The most shapes of an image, 2 or more; at least 2 are drawn. A caption has
            T = 2 `shapes` + 1 tokens, its end included.
        seed: Seed of all that is drawn.

    Returns:
        The images and their captions.

    Raises:
        ValueError: If a number isn't as said above, or there are more shapes than cells.

    Example:
        >>> found = caption_grid(3)
        >>> found.images.shape, " ".join(found.words[token] for token in found.tokens[0])
        ((3, 32, 32, 3), 'red cross yellow square yellow cross   ')
    """
    check_positive_int("count", count)
    check_positive_int("cells", cells)
    check_int("cell_size", cell_size, "an integer of at least 6", least=6)
    check_int("shapes", shapes, f"an integer from 2 to {cells**2}", least=2, most=cells**2)
    check_non_negative_int("seed", seed)
    rng = np.random.default_rng(seed)
    drawn, side = _shapes(cell_size), cells * cell_size
    colours = np.array(list(COLOURS.values())) * 255
    images = rng.normal(0, 25, (count, side, side, 3))
    tokens = np.zeros((count, 2 * shapes + 1), "int32")
    places = np.full((count, 2 * shapes + 1), -1, "int32")
    for image, caption, place in zip(images, tokens, places, strict=True):
        chosen = np.sort(rng.choice(cells**2, rng.integers(2, shapes + 1), replace=False))
        for number, cell in enumerate(chosen):
            colour, shape = rng.integers(len(COLOURS)), rng.integers(len(SHAPES))
            top, left = np.array(divmod(int(cell), cells)) * cell_size
            part = image[top : top + cell_size, left : left + cell_size]
            part += drawn[shape][..., None] * colours[colour]
            words = 2 + colour, 2 + len(COLOURS) + shape
            caption[2 * number : 2 * number + 2] = words
            place[2 * number : 2 * number + 2] = cell
    pixels = np.clip(np.round(images), 0, 255).astype("uint8")
    return Captions(pixels, tokens, places, WORDS)


def _shapes(size: int) -> list[np.ndarray]:
    """Each shape as bool (size, size)."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    across, down = np.abs(x), np.abs(y)
    return [
        np.maximum(across, down) < size / 2 - 1,
        np.hypot(across, down) < size / 2 - 0.5,
        (np.abs(across - down) < size / 5) & (np.maximum(across, down) < size / 2 - 1),
    ]
