"""Data sets by name: the digits, or any labelled images of tensorflow-datasets."""

import dataclasses
import math
import os
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn.training.digits import SIZE as DIGITS_SIZE
from keras_attn.training.digits import read_digits
from keras_attn.training.image_dataset import ImageDataset
from keras_attn.training.tfds_reader import read_tfds

CACHE_BYTES = 2**30  # a split that is larger than this, decoded, is decoded afresh each epoch


def load_dataset(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> ImageDataset:
    """Loads a data set by its name.

    `"digits"` is scikit-learn's bundled set of 1,797 real handwritten digits, 8x8 with values
    0..16: scaled to 0..255, resized to 32x32 (bilinear), given three equal channels, and split
    with 20 % of each class held out. Nothing is downloaded. Every other name is read through
    tensorflow-datasets; its `test` split (or, where it has none, `validation`) is held out.

    Args:
        name: `"digits"`, or a data set of tensorflow-datasets such as `"cifar10"`.
        data_dir: The folder in which tensorflow-datasets finds the prepared data set. Nothing
            is downloaded into it. `None` means tensorflow-datasets' own folder, into which
            it downloads what is missing. `"digits"` doesn't use it.
        image_size: `H` and `W`, or one number for both, to which images are resized (bilinear
            with antialiasing). `None` keeps the data set's own size (digits: 32).
        limit: Train on a seeded random subset of this many images. The test images stay.
        seed: Chooses the split of the digits and the subset. Not the order of training.

    Returns:
        An `ImageDataset` of uint8 images.

    Raises:
        FileNotFoundError: If `data_dir` is given and doesn't hold the data set.
        ValueError: If an argument is wrong, if tensorflow-datasets knows no such name, or if
            the data set is not one of labelled images of one size.
        ImportError: If scikit-learn or tensorflow-datasets is needed and not installed.

    Example:
        >>> data = load_dataset("digits")
        >>> data.image_shape, data.train_size, data.test_size
        ((32, 32, 3), 1437, 360)
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"`name` must be the name of a data set. Received: name={name!r}")
    size = _checked_size(image_size)
    if limit is not None and (not _is_integer(limit) or limit <= 0):
        raise ValueError(f"`limit` must be a positive integer or None. Received: limit={limit!r}")
    if not _is_integer(seed) or seed < 0:
        raise ValueError(f"`seed` must be an integer, 0 or more. Received: seed={seed!r}")

    if name == "digits":
        dataset = read_digits(size=size or DIGITS_SIZE, seed=seed)
    else:
        dataset = read_tfds(name, data_dir=data_dir, size=size, seed=seed)
    train, train_size = dataset.train, dataset.train_size
    if limit is not None:
        if limit > train_size:
            raise ValueError(
                f"`limit` must not exceed the {train_size} training images of {name!r}. "
                f"Received: limit={limit}"
            )
        train, train_size = _subset(train, train_size, limit, seed), limit
    test = dataset.test
    if name != "digits":  # which are in memory already
        train = _cached(train, train_size, dataset.image_shape)
        test = _cached(test, dataset.test_size, dataset.image_shape)
    return dataclasses.replace(
        dataset,
        # `filter` and the readers lose the number of examples; `pipeline` and Keras ask for it.
        train=train.apply(tf.data.experimental.assert_cardinality(train_size)),
        test=test.apply(tf.data.experimental.assert_cardinality(dataset.test_size)),
        train_size=train_size,
    )


def _subset(split: tf.data.Dataset, size: int, limit: int, seed: int) -> tf.data.Dataset:
    """A random `limit` of the `size` examples, in the order that they had."""
    chosen = np.zeros(size, bool)
    chosen[np.random.default_rng(seed).permutation(size)[:limit]] = True
    is_chosen = tf.constant(chosen)

    def keep(index: tf.Tensor, example: Any) -> tf.Tensor:
        return is_chosen[index]

    def drop_index(index: tf.Tensor, example: Any) -> Any:
        return example

    return split.enumerate().filter(keep).map(drop_index)


def _cached(
    split: tf.data.Dataset, size: int, image_shape: tuple[int, int, int]
) -> tf.data.Dataset:
    """Keeps the decoded images in memory after the first pass, if they are few."""
    return split.cache() if size * math.prod(image_shape) <= CACHE_BYTES else split


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
