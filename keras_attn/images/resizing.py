"""Resizing by Pillow, always in the same order of its two passes."""

from __future__ import annotations

from typing import Any, Literal

from keras_attn.images.pillow import import_pillow

Interpolation = Literal["bilinear", "bicubic"]


def resized(picture: Any, height: int, width: int, interpolation: Interpolation) -> Any:
    """Resizes a picture, antialiased: all rows to the new width, rounded, then all columns.

    Pillow chooses the order by the sides, and not alike in all versions; it rounds in between, so
    that the order can be seen. `keras_attn.images.graph` does the same in TensorFlow's graph, and
    differs by one level where a value lies between two to seven places.

    Args:
        picture: A `PIL.Image.Image`.
        height: New height.
        width: New width.
        interpolation: `"bilinear"` or `"bicubic"`.

    Returns:
        A `PIL.Image.Image`.
    """
    kind = import_pillow().Resampling[interpolation.upper()]
    for size in ((width, picture.height), (width, height)):
        if picture.size != size:
            picture = picture.resize(size, kind)
    return picture
