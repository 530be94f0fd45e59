"""Pictures of masks: the class of each pixel in a colour of its own, over the image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_attn.explain.drawing.files import write_png
from keras_attn.explain.drawing.pictures import (
    FOOTER,
    GAP,
    GREY,
    INK,
    PAPER,
    panel_of,
    shortened,
)

# Okabe and Ito's, which the colour-blind tell apart; class 0, the ground, has none.
COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
OPACITY = 0.6
SQUARE = 12  # side of a legend's sample


def draw_masks(
    images: np.ndarray,
    masks: np.ndarray | Mapping[str, np.ndarray],
    out_png: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
) -> Path:
    """Draws what a segmenter says of images, beside them, and writes a PNG.

    Args:
        images: (B, H, W, 1) or (B, H, W, 3), values from 0 to 255.
        masks: Integers (B, h, w), the class of each pixel; 0 is the ground, which has no colour. Or
            several by their titles, such as what is right and what is predicted.
        out_png: Where the picture goes. It is written whole or not at all.
        class_names: Names of the classes, the ground's first; by default their numbers.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: If the masks aren't of as many images, or of classes without a name.

    Example:
        >>> scenes = keras_attn.data.synthetic.shape_scenes(2, size=48)
        >>> draw_masks(scenes.images, scenes.masks, "masks.png")
        PosixPath('masks.png')
    """
    by_title = dict(masks) if isinstance(masks, Mapping) else {"mask": masks}
    by_title = {title: np.asarray(mask) for title, mask in by_title.items()}
    images = np.asarray(images)
    for title, mask in by_title.items():
        if mask.ndim != 3 or len(mask) != len(images) or not np.issubdtype(mask.dtype, np.integer):
            raise ValueError(
                f"`masks` must be integers (B, h, w), one for each of {len(images)} images. "
                f"Received: {title!r} with shape {mask.shape} of {mask.dtype}"
            )
    classes = 1 + max(int(mask.max(initial=0)) for mask in by_title.values())
    names = [str(number) for number in range(classes)] if class_names is None else class_names
    if len(names) < classes:
        raise ValueError(
            f"`class_names` must name the masks' {classes} classes. Received: {len(names)} names"
        )
    panels = [
        [panel_of(image), *(_coloured(image, mask[row]) for mask in by_title.values())]
        for row, image in enumerate(images)
    ]
    width, height = panels[0][0].size
    size = (
        GAP + len(panels[0]) * (width + GAP),
        FOOTER + len(panels) * (height + GAP) + FOOTER,
    )
    canvas = Image.new("RGB", size, PAPER)
    pen, text = ImageDraw.Draw(canvas), ImageFont.load_default(size=13)
    for column, title in enumerate(["image", *by_title]):
        left = GAP + column * (width + GAP)
        pen.text((left, 8), shortened(title, text, width), INK, text)
        for row, each in enumerate(panels):
            canvas.paste(each[column], (left, FOOTER + row * (height + GAP)))
    left, top = GAP, size[1] - FOOTER + 4
    for number in range(1, classes):
        pen.rectangle((left, top, left + SQUARE, top + SQUARE), fill=colour_of(number))
        pen.text((left + SQUARE + 5, top - 2), names[number], GREY, text)
        left += SQUARE + 5 + int(text.getlength(names[number])) + GAP
    return write_png(canvas, out_png)


def colour_of(number: int) -> tuple[int, int, int]:
    """The colour of a class from 1 on; past the seventh they come again."""
    return COLOURS[(number - 1) % len(COLOURS)]


def _coloured(image: np.ndarray, mask: np.ndarray) -> Image.Image:
    panel = panel_of(image)
    grey = panel.convert("L").convert("RGB")
    palette = np.array(
        [(0, 0, 0), *(colour_of(number) for number in range(1, int(mask.max()) + 1))]
    )
    colours = Image.fromarray(palette.astype("uint8")[mask])
    colours = colours.resize(panel.size, Image.Resampling.NEAREST)
    is_class = Image.fromarray(np.where(mask > 0, int(255 * OPACITY), 0).astype("uint8"))
    return Image.composite(colours, grey, is_class.resize(panel.size, Image.Resampling.NEAREST))
