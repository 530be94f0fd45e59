"""The pixels of an image file, upright."""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from keras_attn.images.modes import to_rgb
from keras_attn.images.orientation import UPRIGHT, orientation
from keras_attn.images.pillow import import_pillow
from keras_attn.images.resizing import resized

END_OF_JPEG = b"\xff\xd9"
PADDING = 32  # bytes, at most, in which the end of a JPEG is looked for


def read_image(path: str | os.PathLike[str], image_shape: tuple[int | None, ...]) -> np.ndarray:
    """Reads an image file as a network's input.

    Training, explaining, calibrating and predicting read files so, and the signatures of an
    exported network that take files decode to the same pixels. A picture is set upright as its
    EXIF orientation says; of several pictures in a file the first counts; numbers of 16 bits keep
    their high byte; transparency and colour profiles are left out. Grey is
    0.299 red + 0.587 green + 0.114 blue.

    Args:
        path: A PNG, JPEG or any other file that Pillow reads.
        image_shape: `(H, W, C)` with C 1 (grey) or 3 (RGB). The image is resized (bilinear with
            antialiasing) to H x W, whatever its proportions; `None` keeps its own side.

    Returns:
        uint8 `(H, W, C)`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not an image, or C is neither 1 nor 3.
        ImportError: If Pillow is not installed.
    """
    if len(image_shape) != 3 or image_shape[2] not in (1, 3):
        raise ValueError(
            f"`image_shape` must be (H, W, C) with C 1 or 3. Received: image_shape={image_shape}"
        )
    picture = read_picture(path, image_shape[2])
    height, width = image_shape[0] or picture.height, image_shape[1] or picture.width
    picture = resized(picture, height, width, "bilinear")
    return np.asarray(picture).reshape(height, width, image_shape[2])


def read_picture(path: str | os.PathLike[str], channels: int, encoded: bytes | None = None) -> Any:
    """Reads an image file, upright, as a `PIL.Image.Image` of mode RGB or L.

    Args:
        path: A PNG, JPEG or any other file that Pillow reads.
        channels: 3 (RGB) or 1 (grey).
        encoded: Contents of the file, where they have been read; `path` is then for messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not an image, or `channels` is neither 1 nor 3.
        ImportError: If Pillow is not installed.
    """
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}")
    with _opened(path, encoded) as file:
        upright = UPRIGHT.get(_orientation(file))
        picture = to_rgb(file)
    if upright is not None:
        picture = picture.transpose(import_pillow().Transpose[upright])
    return picture.convert("L") if channels == 1 else picture


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """The `(H, W)` of an image file, upright, by its header.

    A JPEG that does not end as one is decoded, as it may have been cut off.

    Args:
        path: A file that `read_image` reads.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not an image.
        ImportError: If Pillow is not installed.
    """
    with _opened(path) as file:
        lies = _orientation(file) in (5, 6, 7, 8)
        if file.format == "JPEG" and not _ends(file.fp):
            file.load()
        return (file.width, file.height) if lies else (file.height, file.width)


def _ends(file: Any) -> bool:
    """Whether a JPEG has its last marker, behind which there may be some padding."""
    at = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - PADDING))
    ends = END_OF_JPEG in file.read()
    file.seek(at)
    return ends


@contextmanager
def _opened(path: str | os.PathLike[str], encoded: bytes | None = None) -> Iterator[Any]:
    """The file as Pillow opens it; what goes wrong inside is a ValueError that names it."""
    image_module = import_pillow()
    if encoded is None and not os.path.isfile(path):
        raise FileNotFoundError(
            f"`path` must be an image file. Received: path={os.fspath(path)!r}, which is no file"
        )
    # What Pillow's decoders raise for files that are broken in one way or another.
    broken = (
        image_module.DecompressionBombError,
        EOFError,
        LookupError,
        OSError,
        OverflowError,
        SyntaxError,
        TypeError,
        ValueError,
        struct.error,
        zlib.error,
    )
    try:
        with image_module.open(path if encoded is None else io.BytesIO(encoded)) as file:
            yield file
    except broken as error:
        raise ValueError(
            "`path` must be an image that Pillow reads. "
            f"Received: path={os.fspath(path)!r}: {error}"
        ) from error


def _orientation(file: Any) -> int:
    """As decoders and browsers find it, before the pixels. Pillow sets a TIFF upright itself."""
    return orientation(file.info.get("exif", b""))
