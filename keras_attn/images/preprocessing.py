"""What happens to a picture between its file and the network: one description for all who read."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Any

import numpy as np

from keras_attn.images.pillow import import_pillow
from keras_attn.images.reader import read_picture
from keras_attn.images.resizing import Interpolation, resized


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What stands between pixels and a network: the size, then the range of values.

    Training, evaluating, predicting, calibrating, explaining and exporting share it. Resizing is
    antialiased and rounds to whole pixel values, as image libraries do. It is done with Pillow
    here, and by TensorFlow's operations in pipelines and in the signatures of an export; the two
    agree to one level, see `keras_attn.images.resizing`.

    Attributes:
        size: `(H, W)` of the network's images. `None` leaves them as they are.
        crop: The share of the shorter side that is kept: the image is resized so that `size / crop`
            just fits into it, and its centre is cut out, as timm and torchvision evaluate. `None`
            resizes the whole image, whatever its proportions.
        interpolation: `"bilinear"` or `"bicubic"`.
        mean: Value that is subtracted from each channel, in pixel values 0..255. `None` for none.
        std: Value that each channel is then divided by, in pixel values. `None` for none.

    Raises:
        ValueError: If one of them is wrong.

    Example:
        >>> as_timm = Preprocessing((224, 224), crop=0.875, interpolation="bicubic",
        ...                         mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    """

    size: tuple[int, int] | None = None
    crop: float | None = None
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("size", "mean", "std"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))
        if self.size is not None and (
            len(self.size) != 2 or not all(isinstance(side, int) and side > 0 for side in self.size)
        ):
            raise ValueError(
                f"`size` must be (H, W), positive integers. Received: size={self.size}"
            )
        is_number = isinstance(self.crop, (int, float)) and not isinstance(self.crop, bool)
        if self.crop is not None and not (is_number and 0 < self.crop <= 1):
            raise ValueError(f"`crop` must be above 0 and at most 1. Received: crop={self.crop!r}")
        if self.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(
                "`interpolation` must be 'bilinear' or 'bicubic'. "
                f"Received: interpolation={self.interpolation!r}"
            )

    @property
    def least_whole(self) -> tuple[int, int]:
        """`(H, W)` that the whole image has at least before its centre is cut out."""
        height, width = self.size or (0, 0)
        share = self.crop or 1.0
        return math.floor(height / share), math.floor(width / share)

    def read(self, path: str | os.PathLike[str], channels: int = 3) -> np.ndarray:
        """An image file -> pixel values of `size`, uint8 `(H, W, C)`.

        Args:
            path: A PNG, JPEG or any other file that Pillow reads.
            channels: 3 (RGB) or 1 (grey).

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not an image, or `channels` is neither 1 nor 3.
        """
        return self.fit_picture(read_picture(path, channels))

    def fit_part(self, picture: Any, box: tuple[int, int, int, int]) -> np.ndarray:
        """A part of a picture -> pixel values of `size`, uint8 `(H, W, C)`: what is trained on.

        Args:
            picture: A `PIL.Image.Image` of mode RGB or L.
            box: Top, left, height and width of the part.
        """
        if self.size is None:
            raise ValueError("`size` must be given for parts of pictures. Received: size=None")
        top, left, height, width = box
        part = picture.crop((left, top, left + width, top + height))
        return _pixels(resized(part, *self.size, self.interpolation))

    def fit(self, pixels: np.ndarray) -> np.ndarray:
        """Pixel values of any size, uint8 `(h, w, C)` -> those of `size`, uint8 `(H, W, C)`."""
        if self.size in (None, pixels.shape[:2]) and self.crop is None:
            return pixels
        grey = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        return self.fit_picture(import_pillow().fromarray(grey))

    def normalise(self, pixels: np.ndarray) -> np.ndarray:
        """Pixel values `(..., C)` -> what the network takes, float32."""
        values = np.asarray(pixels, "float32")
        if self.mean is not None:
            values = values - np.asarray(self.mean, "float32")
        return values if self.std is None else values / np.asarray(self.std, "float32")

    def fit_picture(self, picture: Any) -> np.ndarray:
        """A `PIL.Image.Image` of mode RGB or L -> pixel values of `size`, uint8 `(H, W, C)`."""
        if self.size is not None:
            height, width = self.size
            rows, columns = self._whole(picture.height, picture.width)
            picture = resized(picture, rows, columns, self.interpolation)
            top, left = round((rows - height) / 2), round((columns - width) / 2)
            picture = picture.crop((left, top, left + width, top + height))
        return _pixels(picture)

    def _whole(self, height: int, width: int) -> tuple[int, int]:
        """`(H, W)` that an image is resized to before its centre is cut out."""
        least = self.least_whole
        if self.crop is None:
            return least
        scale = max(least[0] / height, least[1] / width)
        rows, columns = (math.floor(side * scale + 1e-3) for side in (height, width))
        return max(rows, least[0]), max(columns, least[1])


def _pixels(picture: Any) -> np.ndarray:
    return np.asarray(picture).reshape(picture.height, picture.width, len(picture.getbands()))
