"""Pictures of boxes: each object framed in the colour of its class."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_attn.explain.drawing.files import write_png
from keras_attn.explain.drawing.masks import colour_of
from keras_attn.explain.drawing.pictures import FOOTER, GAP, INK, PAPER, panel_of, shortened

Found = Sequence[Mapping[str, Any]]


def draw_boxes(
    images: Sequence[np.ndarray] | np.ndarray,
    found: Found | Mapping[str, Found],
    out_png: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
) -> Path:
    """Draws what a detector finds in images, and writes a PNG.

    Args:
        images: The images, (H, W, 1) or (H, W, 3) each, values from 0 to 255; of one size or not.
        found: For each image a dict of `"boxes"` (M, 4), left, top, width and height in pixels,
            `"classes"` (M,), and, where there are some, `"scores"` (M,). Or several such by their
            titles, such as what is right and what is found.
        out_png: Where the picture goes. It is written whole or not at all.
        class_names: Names of the classes; by default their numbers.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: If the boxes aren't of as many images, have another form, or a class has no
            name.

    Example:
        >>> draw_boxes(images, detector.detect(images), "boxes.png", class_names=["disk", "square"])
        PosixPath('boxes.png')
    """
    by_title = dict(found) if isinstance(found, Mapping) else {"found": found}
    for title, each in by_title.items():
        _check(title, each, len(images), class_names)
    panels = [
        [_framed(image, each[row], class_names) for each in by_title.values()]
        for row, image in enumerate(images)
    ]
    width = max(panel.width for row in panels for panel in row)
    heights = [max(panel.height for panel in row) for row in panels]
    size = (
        GAP + len(by_title) * (width + GAP),
        FOOTER + sum(heights) + GAP * len(heights),
    )
    canvas = Image.new("RGB", size, PAPER)
    pen, text = ImageDraw.Draw(canvas), ImageFont.load_default(size=13)
    for column, title in enumerate(by_title):
        left, top = GAP + column * (width + GAP), FOOTER
        pen.text((left, 8), shortened(title, text, width), INK, text)
        for row, height in enumerate(heights):
            canvas.paste(panels[row][column], (left, top))
            top += height + GAP
    return write_png(canvas, out_png)


def _check(title: str, found: Found, count: int, names: Sequence[str] | None) -> None:
    if len(found) != count:
        raise ValueError(
            f"`found` must have a dict for each of {count} images. Received: {title!r} with "
            f"{len(found)}"
        )
    for each in found:
        boxes, classes = np.asarray(each["boxes"]), np.asarray(each["classes"])
        if len(boxes) and (boxes.shape != (len(classes), 4) or classes.ndim != 1):
            raise ValueError(
                "`found` must hold boxes (M, 4) and classes (M,). Received: "
                f"{title!r} with shapes {boxes.shape} and {classes.shape}"
            )
        if names is not None and classes.max(initial=0) >= len(names):
            raise ValueError(
                f"`class_names` must name the classes, up to {classes.max()}. "
                f"Received: {len(names)} names"
            )


def _framed(
    image: np.ndarray, found: Mapping[str, Any], names: Sequence[str] | None
) -> Image.Image:
    panel = panel_of(image)
    times = panel.width / np.asarray(image).shape[1]
    pen, text = ImageDraw.Draw(panel), ImageFont.load_default(size=13)
    scores = found.get("scores", [None] * len(found["classes"]))
    marks = []
    for box, label, score in zip(found["boxes"], found["classes"], scores, strict=True):
        left, top, width, height = np.asarray(box, "float64") * times
        colour = colour_of(int(label) + 1)
        pen.rectangle((left, top, left + width, top + height), outline=colour, width=3)
        name = str(label) if names is None else names[int(label)]
        marks.append((left, top, colour, name if score is None else f"{name} {score:.2f}"))
    for left, top, colour, said in reversed(marks):  # over all frames, the likeliest last
        x = min(max(0, left), panel.width - text.getlength(said) - 4)
        y = top - 16 if top >= 16 else top
        pen.rectangle((x, y, x + text.getlength(said) + 4, y + 16), fill=colour)
        pen.text((x + 2, y), said, INK, text)
    return panel
