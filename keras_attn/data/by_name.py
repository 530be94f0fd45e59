"""Data sets by name: the digits, a folder of images, or a set of tensorflow-datasets."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn._checks import check_int
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.label_noise import check_label_noise, label_shifts
from keras_attn.data.readers.digits import SIZE as DIGITS_SIZE
from keras_attn.data.readers.digits import read_digits
from keras_attn.data.readers.folder import read_folder
from keras_attn.data.readers.tfds import read_tfds
from keras_attn.data.splits import RandomAccessSplit

DATA_OPTIONS = ("image_size", "limit", "label_noise", "test_share")  # what a record has of them


def load_dataset(
    name: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    limit: int | None = None,
    seed: int = 0,
    label_noise: float = 0.0,
    test_share: float = 0.2,
) -> ImageDataset:
    """Loads a data set by its name.

    `"digits"` is scikit-learn's bundled set of 1,797 real handwritten digits, 8x8 with values
    0..16: scaled to 0..255, resized to 32x32 (bilinear), given three equal channels, and split
    with 20 % of each class held out. Nothing is downloaded. A folder of images has a subfolder
    for each class, see `read_folder`. Every other name is read through tensorflow-datasets; its
    `test` split (or, where it has none, `validation`) is held out. Only that needs TensorFlow.

    Args:
        name: `"digits"`, the path of a folder of images, or a data set of tensorflow-datasets
            such as `"cifar10"`. With `data_dir`, or where no such folder is, a name without
            more than one `/` is one of tensorflow-datasets.
        data_dir: Folder in which tensorflow-datasets finds the prepared data set. Nothing
            is downloaded into it. `None` means tensorflow-datasets' own folder, into which
            it downloads what is missing. Digits and folders don't use it.
        image_size: `H` and `W`, or one number for both, to which images are resized (bilinear
            with antialiasing). `None` keeps the data set's own size (digits: 32).
        limit: Size of the seeded random subset of images to train on. The test images stay.
        seed: Seed of the split of the digits or of a folder, of the subset and of the noise. Not
            of the order of training.
        label_noise: Share of training labels that are made wrong, see `label_shifts`; of the
            subset, where there is one. The held-out labels stay.
        test_share: Share of each class that is held out, of the digits and of a folder that
            is not split yet.

    Returns:
        An `ImageDataset` of uint8 images.

    Raises:
        FileNotFoundError: If `data_dir` is given and doesn't hold the data set, or if there is
            no such folder.
        ValueError: If an argument is wrong, if tensorflow-datasets knows no such name, if the
            data set is not one of labelled images of one size, or if a class has no training
            image.
        ImportError: If scikit-learn, Pillow or tensorflow-datasets is needed and not installed.

    Example:
        >>> data = load_dataset("digits")
        >>> data.image_shape, data.train_size, data.test_size
        ((32, 32, 3), 1437, 360)
    """
    if not isinstance(name, (str, os.PathLike)) or not os.fspath(name):
        raise ValueError(
            "`name` must be the name of a data set or the path of a folder of images. "
            f"Received: name={name!r}"
        )
    name = os.fspath(name)
    size = _checked_size(image_size)
    if limit is not None:
        limit = check_int("limit", limit, "a positive integer or None")
    seed = check_int("seed", seed, "an integer, 0 or more", least=0)
    check_label_noise(label_noise)
    if isinstance(test_share, bool) or not isinstance(test_share, float) or not 0 < test_share < 1:
        raise ValueError(
            "`test_share` must be a number between 0 and 1, neither of them. "
            f"Received: test_share={test_share!r}"
        )

    if name == "digits":
        dataset = read_digits(size=size or DIGITS_SIZE, seed=seed, test_share=test_share)
    elif _is_folder(name, data_dir):
        dataset = read_folder(name, size=size, seed=seed, test_share=test_share)
    else:
        dataset = read_tfds(name, data_dir=data_dir, size=size, seed=seed)
    check_label_noise(label_noise, dataset.num_classes)
    if limit is not None:
        dataset = _limited(dataset, limit, seed)
    if label_noise:
        shifts = label_shifts(dataset.train_size, dataset.num_classes, label_noise, seed)
        noisy = dataset.train.shift_labels(shifts, dataset.num_classes)
        dataset = dataclasses.replace(dataset, train=noisy)
    options = {
        "image_size": list(dataset.image_shape[:2]),
        "limit": limit,
        "label_noise": label_noise,
        "test_share": test_share,
    }
    return dataclasses.replace(dataset, options=options)


def _is_folder(name: str, data_dir: str | os.PathLike[str] | None) -> bool:
    """Whether a name is a path: `cifar10` and `mnist_corrupted/fog` are tensorflow-datasets'."""
    separators = {"/", os.sep}
    parts = Path(name).parts
    is_bare = not any(separator in name for separator in separators)
    if Path(name).expanduser().is_dir():
        return data_dir is None or not is_bare
    return not is_bare and (len(parts) != 2 or parts[0] in ("/", "~", ".", ".."))


def _limited(dataset: ImageDataset, limit: int, seed: int) -> ImageDataset:
    """The data set with a random `limit` of its training images, in the order that they had."""
    size = dataset.train_size
    if limit > size:
        raise ValueError(
            f"`limit` must not exceed the {size} training images of {dataset.name!r}. "
            f"Received: limit={limit}"
        )
    order = np.random.default_rng(seed).permutation(size)
    rows = np.sort(order[:limit])
    if isinstance(dataset.train, RandomAccessSplit):
        labels = dataset.train.labels
        missing = sorted(set(labels.tolist()) - set(labels[rows].tolist()))
        if missing:
            least = 1 + max(int(np.argmax(labels[order] == label)) for label in set(labels))
            names = ", ".join(repr(dataset.class_names[label]) for label in missing[:10])
            raise ValueError(
                f"`limit` must leave an image of each class. Received: limit={limit}, which "
                f"leaves none of {len(missing)} of the {dataset.num_classes} classes ({names}"
                f"{', ...' if len(missing) > 10 else ''}); with seed={seed} it takes "
                f"limit={least} or more"
            )
    return dataclasses.replace(dataset, train=dataset.train.subset(rows))


def _checked_size(image_size: Any) -> tuple[int, int] | None:
    if image_size is None:
        return None
    size = (image_size, image_size) if _is_integer(image_size) else image_size
    if (
        not isinstance(size, (tuple, list))
        or len(size) != 2
        or not all(_is_integer(number) and number > 0 for number in size)
    ):
        raise ValueError(
            "`image_size` must be a positive integer, a pair of them, or None. "
            f"Received: image_size={image_size!r}"
        )
    return (int(size[0]), int(size[1]))


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
