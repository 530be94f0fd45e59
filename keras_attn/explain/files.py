"""Image files: read as a network's input, and pictures written whole."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from keras_attn._staging import written_whole


def read_image(path: str | os.PathLike[str], image_shape: tuple[int | None, ...]) -> np.ndarray:
    """Reads an image file as a network's input.

    Args:
        path: A PNG, JPEG or any other file that Pillow reads.
        image_shape: `(H, W, C)` with C 1 (grey) or 3 (RGB). The image is resized (bilinear with
            antialiasing) to H x W, whatever its proportions; `None` keeps its own side.

    Returns:
        uint8 `(H, W, C)`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not an image, or C is neither 1 nor 3.
    """
    if len(image_shape) != 3 or image_shape[2] not in (1, 3):
        raise ValueError(
            f"`image_shape` must be (H, W, C) with C 1 or 3. Received: image_shape={image_shape}"
        )
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"`path` must be an image file. Received: path={os.fspath(path)!r}, which is not there"
        )
    try:
        with Image.open(path) as file:
            picture = file.convert("L" if image_shape[2] == 1 else "RGB")
    except Exception as error:  # of a broken file, or of one too large: they have no common class
        raise ValueError(
            "`path` must be an image that Pillow reads. "
            f"Received: path={os.fspath(path)!r}: {str(error) or type(error).__name__}"
        ) from error
    height, width = image_shape[0] or picture.height, image_shape[1] or picture.width
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(height, width, image_shape[2])


def write_png(picture: Image.Image, path: str | os.PathLike[str]) -> Path:
    """Writes a PNG whole or not at all, making its folder if need be; returns its path."""
    path = Path(path)
    with written_whole(path) as written:
        picture.save(written, format="PNG")
    return path
