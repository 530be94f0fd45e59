"""What a data set is asked for, and the rules of it, which need no image."""

import dataclasses
import difflib
import numbers
import os
from pathlib import Path
from typing import Any

from keras_attn.images import Preprocessing
from keras_attn.images.resizing import Interpolation

# What a record has of them.
DATA_OPTIONS = (
    "image_size",
    "squash",
    "crop",
    "interpolation",
    "limit",
    "label_noise",
    "test_share",
    "skip_unreadable",
)
CROP = 0.875  # of photographs for networks without weights: what the field evaluates with


@dataclasses.dataclass(frozen=True)
class Fitting:
    """How photographs come to a network's size, as far as it is said.

    Attributes:
        squash: Whether whole images are resized, whatever their proportions.
        crop: See `Preprocessing`. `None`: as the network's weights ask, else 0.875.
        interpolation: See `Preprocessing`. `None`: as the network's weights ask, else bilinear.
    """

    squash: bool = False
    crop: float | None = None
    interpolation: Interpolation | None = None

    def of(self, size: tuple[int, int], *, is_varied: bool) -> Preprocessing:
        """The preprocessing of photographs, or of images that only have to be resized."""
        crop = None if self.squash or not is_varied else self.crop or CROP
        return Preprocessing(size, crop=crop, interpolation=self.interpolation or "bilinear")


AS_USUAL = Fitting()


def is_photograph(own: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether an image has more pixels along a side than the network takes."""
    return any(a > b for a, b in zip(own, size, strict=True))


def check_seed(seed: Any) -> None:
    """Raises a ValueError unless `seed` is one that Keras takes."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must be an integer from 0 to 2**32 - 1. Received: seed={seed!r}")


def check_data_options(
    *,
    image_size: Any = None,
    squash: Any = False,
    crop: Any = None,
    interpolation: Any = None,
    limit: Any = None,
    label_noise: Any = 0.0,
    test_share: Any = 0.2,
    skip_unreadable: Any = False,
) -> None:
    """Raises a ValueError unless each option of `load_dataset` keeps its rule."""
    checked_size(image_size)
    if not isinstance(squash, bool):
        raise ValueError(f"`squash` must be a bool. Received: squash={squash!r}")
    if squash and crop is not None:
        raise ValueError(
            "`crop` must be None with `squash`, which resizes whole images. "
            f"Received: crop={crop!r}, squash=True"
        )
    Preprocessing(crop=crop, interpolation=interpolation or "bilinear")
    if limit is not None and (not is_integer(limit) or limit <= 0):
        raise ValueError(f"`limit` must be a positive integer or None. Received: limit={limit!r}")
    check_label_noise(label_noise)
    if isinstance(test_share, bool) or not isinstance(test_share, float) or not 0 < test_share < 1:
        raise ValueError(
            "`test_share` must be a number between 0 and 1, neither of them. "
            f"Received: test_share={test_share!r}"
        )
    if not isinstance(skip_unreadable, bool):
        raise ValueError(
            f"`skip_unreadable` must be a bool. Received: skip_unreadable={skip_unreadable!r}"
        )


def check_data_place(
    name: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None
) -> None:
    """Raises an error where the name's folder, or the data set in `data_dir`, is not there."""
    if not isinstance(name, (str, os.PathLike)) or not os.fspath(name):
        raise ValueError(
            "`name` must be the name of a data set or the path of a folder of images. "
            f"Received: name={name!r}"
        )
    name = os.fspath(name)
    if name == "digits":
        return
    if difflib.get_close_matches(name, ["digits"], cutoff=0.8) and not Path(name).is_dir():
        raise ValueError(
            "`name` must be 'digits', a folder of images, or a data set of tensorflow-datasets. "
            f"Received: name={name!r}; did you mean digits?"
        )
    if is_folder(name, data_dir):
        if not Path(name).expanduser().is_dir():
            raise FileNotFoundError(
                f"`name` must be a folder of images. Received: name={name!r}, which is not there"
            )
    elif data_dir is not None:
        # Before tensorflow-datasets is asked: for what is not on disk it would go to the network.
        folder = Path(data_dir, name.split("/")[0].split(":")[0])
        if not folder.is_dir() or not any(folder.rglob("dataset_info.json")):
            raise FileNotFoundError(not_prepared(name, data_dir))


def is_folder(name: str, data_dir: str | os.PathLike[str] | None) -> bool:
    """Whether a name is a path: `cifar10` and `mnist_corrupted/fog` are tensorflow-datasets'."""
    separators = {"/", os.sep}
    parts = Path(name).parts
    is_bare = not any(separator in name for separator in separators)
    if Path(name).expanduser().is_dir():
        return data_dir is None or not is_bare
    return not is_bare and (len(parts) != 2 or parts[0] in ("/", "~", ".", ".."))


def check_label_noise(rate: Any, num_classes: int | None = None) -> None:
    """Raises a ValueError unless `rate` is a share, and there are classes to swap."""
    is_number = isinstance(rate, numbers.Real) and not isinstance(rate, bool)
    if not is_number or not 0 <= float(rate) <= 1:
        raise ValueError(
            f"`label_noise` must be a number from 0 to 1. Received: label_noise={rate!r}"
        )
    if num_classes is not None and rate and num_classes < 2:
        raise ValueError(
            f"`label_noise` needs two classes at least. Received: label_noise={rate!r}, "
            f"{num_classes} class"
        )


def checked_size(image_size: Any, name: str = "image_size") -> tuple[int, int] | None:
    """H and W of one number or a pair; raises a ValueError where it is neither."""
    if image_size is None:
        return None
    size = (image_size, image_size) if is_integer(image_size) else image_size
    if (
        not isinstance(size, (tuple, list))
        or len(size) != 2
        or not all(is_integer(number) and number > 0 for number in size)
    ):
        raise ValueError(
            f"`{name}` must be a positive integer, a pair of them, or None. "
            f"Received: {name}={image_size!r}"
        )
    return (int(size[0]), int(size[1]))


def is_integer(value: Any) -> bool:
    """Whether it is a whole number, Python's or NumPy's."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def not_prepared(name: str, data_dir: str | os.PathLike[str]) -> str:
    """What an error says of a data set that is not prepared in a folder."""
    folder = os.fspath(data_dir)
    return (
        f"`data_dir` must hold the prepared data set {name!r}. Received: data_dir={folder!r}, "
        f"which does not. Prepare it there with `tfds build {name} --data_dir {folder}`, or "
        "leave `data_dir` out to have it downloaded."
    )
