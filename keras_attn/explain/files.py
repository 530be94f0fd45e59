"""Pictures written whole."""

import os
import tempfile
from pathlib import Path

from PIL import Image


def write_png(picture: Image.Image, path: str | os.PathLike[str]) -> Path:
    """Writes a PNG whole or not at all, making its folder if need be; returns its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as beside:
        whole = Path(beside, "picture.png")
        picture.save(whole, format="PNG")
        os.replace(whole, path)
    return path
