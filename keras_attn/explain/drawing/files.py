"""Pictures written whole."""

import os
from pathlib import Path

from PIL import Image

from keras_attn._staging import written_whole


def write_png(picture: Image.Image, path: str | os.PathLike[str]) -> Path:
    """Writes a PNG whole or not at all, making its folder if need be; returns its path."""
    path = Path(path)
    with written_whole(path) as written:
        picture.save(written, format="PNG")
    return path
