"""Data sets by name: the digits, a folder of images, or a set of tensorflow-datasets."""

import dataclasses
import os

import numpy as np

from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.label_noise import label_shifts
from keras_attn.data.options import (
    Fitting,
    check_data_options,
    check_data_place,
    check_label_noise,
    checked_size,
    is_folder,
    is_integer,
)
from keras_attn.data.readers.digits import SIZE as DIGITS_SIZE
from keras_attn.data.readers.digits import read_digits
from keras_attn.data.readers.folder import read_folder
from keras_attn.data.readers.tfds import read_tfds
from keras_attn.data.splits import RandomAccessSplit
from keras_attn.images.resizing import Interpolation


def load_dataset(
    name: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    usual_size: int | tuple[int, int] | None = None,
    squash: bool = False,
    crop: float | None = None,
    interpolation: Interpolation | None = None,
    limit: int | None = None,
    seed: int = 0,
    label_noise: float = 0.0,
    test_share: float = 0.2,
    skip_unreadable: bool = False,
) -> ImageDataset:
    """Loads a data set by its name.

    `"digits"` is scikit-learn's bundled set of 1,797 real handwritten digits, 8x8 with values
    0..16: scaled to 0..255, resized to 32x32 (bilinear), given three equal channels, and split
    with 20 % of each class held out. Nothing is downloaded. A folder of images has a subfolder
    for each class, see `read_folder`. Every other name is read through tensorflow-datasets; its
    `test` split (or, where it has none, `validation`) is held out. Only what is read whole or as a
    stream of it needs TensorFlow.

    Args:
        name: `"digits"`, the path of a folder of images, or a data set of tensorflow-datasets
            such as `"cifar10"`. With `data_dir`, or where no such folder is, a name without
            more than one `/` is one of tensorflow-datasets.
        data_dir: Folder in which tensorflow-datasets finds the prepared data set. Nothing
            is downloaded into it. `None` means tensorflow-datasets' own folder, into which
            it downloads what is missing. Digits and folders don't use it.
        image_size: `H` and `W` of the network's images, or one number for both. `None` keeps the
            data set's own size (digits: 32).
        usual_size: The size to take where `image_size` is `None` and the images differ in size,
            or are files larger than this: what the network usually takes. `None`: they must not
            differ.
        squash: Whether photographs are resized whole, so that their proportions may change.
            Otherwise each is resized until the network's size just fits into `crop` of it, and
            its centre is cut out. Photographs are images of a folder or of tensorflow-datasets
            that differ in size, or are larger than the network's. Those that are not are resized
            whole.
        crop: Share of a photograph's shorter side that is kept. `None`: as the network's weights
            ask, else 0.875.
        interpolation: `"bilinear"` or `"bicubic"`, with antialiasing. `None`: as the network's
            weights ask, else bilinear.
        limit: Size of the seeded random subset of images to train on. The test images stay.
        seed: Seed of the split of the digits or of a folder, of the subset and of the noise. Not
            of the order of training.
        label_noise: Share of training labels that are made wrong, see `label_shifts`; of the
            subset, where there is one. The held-out labels stay.
        test_share: Share of each class that is held out, of the digits and of a folder that
            is not split yet.
        skip_unreadable: Whether to leave out files of a folder that can't be read.

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
    check_data_place(name, data_dir)
    name = os.fspath(name)
    check_data_options(
        image_size=image_size,
        squash=squash,
        crop=crop,
        interpolation=interpolation,
        limit=limit,
        label_noise=label_noise,
        test_share=test_share,
        skip_unreadable=skip_unreadable,
    )
    size, usual = checked_size(image_size), checked_size(usual_size, "usual_size")
    if not is_integer(seed) or seed < 0:
        raise ValueError(f"`seed` must be an integer, 0 or more. Received: seed={seed!r}")

    how = Fitting(squash, crop, interpolation)
    if name == "digits":
        dataset = read_digits(size=size or DIGITS_SIZE, seed=seed, test_share=test_share)
    elif is_folder(name, data_dir):
        dataset = read_folder(
            name,
            size=size,
            usual_size=usual,
            seed=seed,
            test_share=test_share,
            skip_unreadable=skip_unreadable,
            how=how,
        )
    else:
        dataset = read_tfds(
            name, data_dir=data_dir, size=size, usual_size=usual, seed=seed, how=how
        )
    check_label_noise(label_noise, dataset.num_classes)
    if limit is not None:
        dataset = _limited(dataset, limit, seed)
    if label_noise:
        shifts = label_shifts(dataset.train_size, dataset.num_classes, label_noise, seed)
        noisy = dataset.train.shift_labels(shifts, dataset.num_classes)
        dataset = dataclasses.replace(dataset, train=noisy)
    options = {
        "image_size": list(dataset.image_shape[:2]),
        "squash": squash,
        "crop": crop,
        "interpolation": interpolation,
        "limit": limit,
        "label_noise": label_noise,
        "test_share": test_share,
        "skip_unreadable": skip_unreadable,
    }
    return dataclasses.replace(dataset, options=options)


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
    if isinstance(dataset.train, RandomAccessSplit) and dataset.train.knows_labels:
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
