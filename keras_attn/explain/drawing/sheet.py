"""A sheet of panels: a row for each image, and one scale of colours for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_attn.explain.drawing.pictures import (
    BAR_TEXT,
    BAR_WIDTH,
    FOOTER,
    GAP,
    GREY,
    HEADER,
    INK,
    PAPER,
    colourise,
    frame,
    panel_of,
    shortened,
)

FOOT = 30  # height of the sheet's foot: what the scale's unit is


def plain_panel(
    image: np.ndarray, shown: np.ndarray, mark: tuple[int, int] | None = None
) -> Image.Image:
    """Heat `(h, w)` from 0 to 1 as a panel of the image's size, with a frame round one place."""
    panel = Image.fromarray(colourise(shown)).resize(panel_of(image).size, Image.Resampling.NEAREST)
    if mark is not None:
        frame(panel, shown.shape, mark)
    return panel


def boxes_panel(image: np.ndarray, boxes: np.ndarray) -> Image.Image:
    """The image, with what was looked at in it as frames, from blue to yellow, the last.

    Args:
        image: See `panel_of`.
        boxes: `(T, S, 4)`: centre y, centre x, half the height, half the width of S boxes at each
            of T steps, from -1 to 1 over the image.
    """
    panel = panel_of(image)
    pen = ImageDraw.Draw(panel)
    colours = colourise(np.linspace(1, 0, len(boxes))[::-1])
    for step, colour in zip(boxes, colours, strict=True):
        for y, x, half_height, half_width in step:
            corners = np.array([x - half_width, y - half_height, x + half_width, y + half_height])
            sides = np.array([panel.width, panel.height] * 2)
            frame_of = np.round((corners + 1) / 2 * (sides - 1)).astype(int)
            pen.rectangle([*map(int, frame_of)], outline=tuple(map(int, colour)), width=3)
    return panel


def bars_panel(image: np.ndarray, shown: np.ndarray) -> Image.Image:
    """Gates as bars: a strip for each branch, one above another.

    Args:
        image: As large as the panel is to be.
        shown: `(P, C)`, 0 to 1: a bar's height. Where there are more channels than pixels, a
            column shows the greatest of its channels.
    """
    width, height = panel_of(image).size
    pixels = np.full((height, width, 3), PAPER, "uint8")
    branches, channels = shown.shape
    edges = np.linspace(0, height, branches + 1).astype(int)
    firsts = np.arange(width) * channels // width
    lasts = np.maximum(np.arange(1, width + 1) * channels // width, firsts + 1)
    for strip, top, bottom in zip(shown, edges[:-1], edges[1:], strict=True):
        values = np.array([strip[a:b].max() for a, b in zip(firsts, lasts, strict=True)])
        space = bottom - top - 2  # two pixels between strips
        lengths = np.round(values * space).astype(int)
        rows = np.arange(space)[::-1, None]  # 0 at the foot
        filled = rows < lengths[None]
        pixels[top : top + space][filled] = np.broadcast_to(colourise(values), (space, width, 3))[
            filled
        ]
        pixels[top + space] = GREY
    return Image.fromarray(pixels)


def sheet(
    rows: Sequence[Sequence[Image.Image]],
    columns: Sequence[str],
    captions: Sequence[str],
    *,
    title: str,
    subtitle: str,
    ends: tuple[str, str],
    unit: str,
    notes: Sequence[Sequence[str]] | None = None,
) -> Image.Image:
    """Panels of one size in rows and columns, and the colour bar of all.

    Args:
        rows: The panels of each image.
        columns: What each column shows; stands under each panel.
        captions: What is said of each image, under its first panel.
        title: The heading.
        subtitle: A line under it.
        ends: What the low and the high end of the bar stand for.
        unit: What the bar's values are.
        notes: What stands under each image's panels after the first, where it isn't `columns`.
    """
    width, height = rows[0][0].size
    step, line = width + GAP, height + FOOTER
    bar_left = GAP + len(columns) * step
    size = (bar_left + BAR_WIDTH + BAR_TEXT, HEADER + len(rows) * line + FOOT)
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    heading, text = ImageFont.load_default(size=18), ImageFont.load_default(size=13)
    draw.text((GAP, 8), shortened(title, heading, canvas.width - 2 * GAP), INK, heading)
    draw.text((GAP, 31), shortened(subtitle, text, canvas.width - 2 * GAP), GREY, text)
    for row, panels in enumerate(rows):
        top = HEADER + row * line
        for column, panel in enumerate(panels):
            left = GAP + column * step
            canvas.paste(panel, (left, top))
            said, colour = (captions[row], INK) if column == 0 else (columns[column], GREY)
            if column and notes is not None:
                said = notes[row][column - 1] if column <= len(notes[row]) else ""
            draw.text((left, top + height + 7), shortened(said, text, width), colour, text)
    bar = colourise(np.linspace(1.0, 0.0, height))[:, None]  # (height, 1, 3), high at the top
    canvas.paste(Image.fromarray(np.repeat(bar, BAR_WIDTH, axis=1)), (bar_left, HEADER))
    labels = bar_left + BAR_WIDTH + 5
    draw.text((labels, HEADER), ends[1], INK, text, anchor="lt")
    draw.text((labels, HEADER + height - 1), ends[0], INK, text, anchor="lb")
    draw.text((canvas.width - GAP, canvas.height - 10), f"colours: {unit}", GREY, text, anchor="rb")
    return canvas
