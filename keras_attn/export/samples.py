"""Sample images that travel with an export, for the page of a server to show."""

import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_attn.images import SUFFIXES, image_files
from keras_attn.images.pillow import import_pillow
from keras_attn.images.reader import read_picture

SAMPLES_FOLDER = "assets.extra/samples"
MAX_SAMPLES = 16
MAX_SIDE = 512
_RULE = (
    f"`samples` must be a folder, or a list of files or of uint8 arrays, (H, W), (H, W, 1) or "
    f"(H, W, 3), of 1 to {MAX_SAMPLES} images"
)

Samples = str | os.PathLike[str] | Sequence[str | os.PathLike[str] | np.ndarray] | np.ndarray


def read_samples(samples: Samples) -> dict[str, Any]:
    """Reads sample images, upright and at most 512 pixels wide and high.

    Args:
        samples: A folder of image files, or a list of files or of uint8 arrays `(H, W)`,
            `(H, W, 1)` or `(H, W, 3)`: 1 to 16 images.

    Returns:
        The `PIL.Image.Image` of each by the name of its file, in which letters other than
        `A-Z a-z 0-9 _ -` are left out.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If it is something else, or a file is no image.

    Example:
        >>> list(read_samples(["photos/My cat.png", np.zeros((8, 8), "uint8")]))
        ['00_My_cat.jpg', '01.jpg']
    """
    given: list[Any]
    if isinstance(samples, str | os.PathLike):
        if not os.path.isdir(samples):
            raise ValueError(f"{_RULE}. Received: samples={os.fspath(samples)!r}, no folder")
        given = [*image_files(samples)]
        if not given:
            raise ValueError(
                f"{_RULE}. Received: samples={os.fspath(samples)!r}, in which no file is a "
                f"{', '.join(SUFFIXES)}"
            )
    else:
        given = list(samples)
    if not 1 <= len(given) <= MAX_SAMPLES:
        raise ValueError(f"{_RULE}. Received: {len(given)} images")
    return dict(_named(number, one) for number, one in enumerate(given))


def write_samples(folder: str | os.PathLike[str], pictures: dict[str, Any]) -> None:
    """Writes them beside the graph, as JPEG.

    Args:
        folder: The SavedModel.
        pictures: Pictures from `read_samples`.
    """
    path = pathlib.Path(folder, SAMPLES_FOLDER)
    path.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        picture.save(path / name, format="JPEG", quality=95, subsampling=0)


def _named(number: int, sample: Any) -> tuple[str, Any]:
    if isinstance(sample, str | os.PathLike):
        try:
            picture = read_picture(sample, 3)
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f"{_RULE}. Received: samples[{number}]: {error}") from error
        stem = re.sub(r"[^A-Za-z0-9-]+", "_", pathlib.Path(sample).stem).strip("_")
    else:
        picture, stem = _of_array(number, sample), ""
    picture.thumbnail((MAX_SIDE, MAX_SIDE), import_pillow().Resampling.BICUBIC)
    return f"{number:02d}{'_' * bool(stem)}{stem[:64]}.jpg", picture


def _of_array(number: int, sample: Any) -> Any:
    if not isinstance(sample, np.ndarray):
        raise ValueError(f"{_RULE}. Received: samples[{number}] of {type(sample).__name__}")
    shape = sample.shape
    is_image = len(shape) in (2, 3) and 0 not in shape and shape[2:] in ((), (1,), (3,))
    if not is_image or sample.dtype != np.uint8:
        raise ValueError(f"{_RULE}. Received: samples[{number}] of shape {shape}, {sample.dtype}")
    return import_pillow().fromarray(sample[..., 0] if shape[2:] == (1,) else sample)
