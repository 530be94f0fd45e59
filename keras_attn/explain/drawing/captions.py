"""Pictures of captions: where each word looks, over the image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from keras_attn.explain.drawing.files import write_png
from keras_attn.explain.drawing.pictures import blend, panel_of
from keras_attn.explain.drawing.sheet import sheet
from keras_attn.explain.scale import SHARE


def draw_captions(
    images: np.ndarray,
    captions: Sequence[Sequence[str]],
    attention: np.ndarray,
    out_png: str | os.PathLike[str],
    *,
    title: str = "captions",
) -> Path:
    """Draws a panel for each word of captions, with where it looks, and writes a PNG.

    Args:
        images: (B, H, W, 1) or (B, H, W, 3), values from 0 to 255.
        captions: The words of each image's caption.
        attention: (B, T, h, w), where each word looks; T is that of the longest caption, or more.
        out_png: Where the picture goes. It is written whole or not at all.
        title: The heading.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: If the captions or the attention aren't of as many images, or steps are missing.

    Example:
        >>> found = model.generate(grids.images[:2])
        >>> words = [caption.split() for caption in found["captions"]]
        >>> draw_captions(grids.images[:2], words, found["attention"], "captions.png")
        PosixPath('captions.png')
    """
    attention = np.asarray(attention)
    longest = max((len(words) for words in captions), default=0)
    counts = (len(images), len(captions), len(attention))
    if attention.ndim != 4 or len(set(counts)) != 1 or attention.shape[1] < longest:
        raise ValueError(
            f"`attention` must be (B, T, h, w) for {len(images)} images, as many captions, and a T "
            f"of {longest} or more. Received: shape {attention.shape}, {len(captions)} captions"
        )
    return write_png(captions_sheet(images, captions, attention, title), out_png)


def captions_sheet(
    images: np.ndarray, captions: Sequence[Sequence[str]], attention: np.ndarray, title: str
) -> Image.Image:
    """The picture of `draw_captions`."""
    steps = max(1, *(len(words) for words in captions))
    rows = []
    for image, looked in zip(images, attention, strict=True):
        heats = [SHARE.of(each[None])[0] for each in looked[:steps]]
        rows.append([panel_of(image), *[blend(image, each, scale=(0, 1)) for each in heats]])
    return sheet(
        rows,
        ["image", *[str(step + 1) for step in range(steps)]],
        [" ".join(words) or "no words" for words in captions],
        title=title,
        subtitle=f"where each of at most {steps} words looks",
        ends=(f"{SHARE.low:g}", f"{SHARE.high:g}"),
        unit=SHARE.unit,
        notes=captions,
    )
