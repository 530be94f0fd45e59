"""Pillow, which is there with the extras that read or draw pictures."""

from typing import Any


def import_pillow() -> Any:
    """The module `PIL.Image`, or an ImportError that says how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "Image files are read with Pillow. Install it with `pip install 'keras-attn[train]'`."
        ) from error
    return Image
