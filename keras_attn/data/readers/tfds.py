"""Data sets of tensorflow-datasets, read from a prepared folder or downloaded by it."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_attn._hints import did_you_mean
from keras_attn.data import splits
from keras_attn.data.encoded import digested
from keras_attn.data.file_digest import digest_files
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.options import AS_USUAL, Fitting, is_photograph, not_prepared
from keras_attn.data.readers.records import RecordSplit, array_record_places, tfrecord_places
from keras_attn.data.splits import ArraySplit, Split, StreamSplit
from keras_attn.images import Preprocessing

if TYPE_CHECKING:
    import tensorflow as tf

READ_AT_ONCE = 512  # images in a batch while a data set is read into memory

HELD_OUT = ("test", "validation")  # the first of these that the data set has


def read_tfds(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    size: tuple[int, int] | None = None,
    usual_size: tuple[int, int] | None = None,
    seed: int = 0,
    how: Fitting = AS_USUAL,
) -> ImageDataset:
    """Reads a data set of labelled images through tensorflow-datasets.

    A split of up to 1 GiB of images that all have one size is read into memory at once. Photographs
    (ImageNet) and larger splits stay encoded, in files of TFRecord or ArrayRecord of which any
    image is read at any time; in other formats they are a stream, which is decoded afresh in each
    pass. ImageNet must be prepared by hand: put its two archives into the `downloads/manual` folder
    of tensorflow-datasets and run `tfds build imagenet2012` (described there; not run by us).

    Args:
        name: Name of the data set there, such as `"cifar10"` or `"cifar10:3.0.2"`.
        data_dir: Folder that holds it prepared; nothing is downloaded. `None` means
            tensorflow-datasets' own folder, into which it downloads what is missing.
        size: `(H, W)` of the network's images, or `None` for the size they have.
        usual_size: `(H, W)` to take without `size` where they differ in size; `None`: they must
            not.
        seed: Seed to keep in the result; the splits are the data set's own.
        how: How photographs come to `size`.

    Returns:
        An `ImageDataset` of uint8 images: `ArraySplit`s, `RecordSplit`s or `StreamSplit`s.

    Raises:
        FileNotFoundError: If `data_dir` is given and doesn't hold the data set.
        ValueError: If tensorflow-datasets knows no such name, if it isn't a data set of labelled
            uint8 images, of one size (or `size` is given), with a held-out split, or if a class
            has no training image.
        ImportError: If tensorflow-datasets is not installed.

    Example:
        >>> read_tfds("cifar10", data_dir="data/tfds").image_shape
        (32, 32, 3)
    """
    builder = _prepared_builder(name, data_dir)
    info = builder.info
    image_key, label_key = _image_and_label(name, info)
    shape = info.features[image_key].shape  # (h, w, C), h and w None where they differ
    notes: tuple[str, ...] = ()
    if size is None and None in shape[:2] and usual_size is not None:
        size = usual_size
        notes = ("images of {} x {}, what the network usually takes".format(*size),)
    elif size is None and None in shape[:2]:
        raise ValueError(
            f"`image_size` is needed for {name!r}, whose images differ in size. "
            "Received: image_size=None"
        )
    held_out = next((split for split in HELD_OUT if split in info.splits), None)
    if held_out is None or "train" not in info.splits:
        raise ValueError(
            "`name` must be a data set with a train split and a test or validation split. "
            f"Received: name={name!r}, whose splits are {sorted(info.splits)}"
        )
    height, width = size or shape[:2]
    image_shape = (height, width, shape[2])

    is_varied = None in shape[:2] or is_photograph(shape[:2], (height, width))
    preprocessing = how.of((height, width), is_varied=is_varied)

    def read(which: str) -> Split:
        prepared = info.splits[which]
        is_small = prepared.num_examples * math.prod(image_shape) <= splits.CACHE_BYTES
        identity = f"{info.full_name} {which} {_contents(prepared)}"
        places = None if is_small and not is_varied else _places(info, prepared)
        if places is not None:
            return RecordSplit(
                preprocessing=preprocessing,
                is_varied=is_varied,
                files=tuple(os.fspath(file) for file in prepared.filepaths),
                places=places,
                keys=(image_key, label_key),
                identity=identity,
                num_classes=info.features[label_key].num_classes,
                of_channels=shape[2],
            )
        dataset = _stream(builder, which, image_key, label_key, preprocessing)
        if is_small:
            return _in_memory(dataset)
        return StreamSplit(dataset, prepared.num_examples, f"{identity} {digested(preprocessing)}")

    return ImageDataset(
        name=name,
        class_names=tuple(info.features[label_key].names),
        image_shape=image_shape,
        train=read("train"),
        test=read(held_out),
        seed=seed,
        notes=notes,
    )


def _contents(split: Any) -> list[str]:
    """What tells a prepared split from another of the same version."""
    files = [os.fspath(file) for file in split.filepaths]
    if any("://" in file for file in files):  # in a bucket, where only their lengths are at hand
        return [str(length) for length in split.shard_lengths]
    return digest_files(Path(), files)


def _places(info: Any, split: Any) -> np.ndarray | None:
    """Where the records of a split are, or `None` where its format only gives one after another."""
    files = [os.fspath(file) for file in split.filepaths]
    if any("://" in file for file in files):
        return None
    if info.file_format.value == "tfrecord":
        return tfrecord_places(files)
    if info.file_format.value == "array_record":
        return array_record_places(split.shard_lengths)
    return None


def _stream(
    builder: Any, split: str, image_key: str, label_key: str, how: Preprocessing
) -> tf.data.Dataset:
    """The `(image, label)` of a split, one by one and in their order on disk."""
    import tensorflow as tf

    from keras_attn.images.graph.pixels import resize

    config = _import_tfds().ReadConfig(try_autocache=False)
    examples = builder.as_dataset(split=split, shuffle_files=False, read_config=config)

    def pair(example: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        image = example[image_key]
        if tuple(image.shape[:2]) != how.size or how.crop is not None:
            image = tf.cast(resize(how, image[None])[0], tf.uint8)
        return image, tf.cast(example[label_key], tf.int64)

    return examples.map(pair, num_parallel_calls=tf.data.AUTOTUNE)


def _in_memory(dataset: tf.data.Dataset) -> ArraySplit:
    batches = list(dataset.batch(READ_AT_ONCE).as_numpy_iterator())
    images, labels = zip(*batches, strict=True)
    return ArraySplit(np.concatenate(images), np.concatenate(labels))


def _prepared_builder(name: str, data_dir: str | os.PathLike[str] | None) -> Any:
    tfds = _import_tfds()
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(
            "`name` must be 'digits', a folder of images, or a data set that tensorflow-datasets "
            f"knows (tensorflow.org/datasets/catalog). Received: name={name!r}"
            f"{did_you_mean(name, ['digits', *tfds.list_builders()])}"
        ) from error
    if data_dir is None:
        builder.download_and_prepare()
    elif not builder.is_prepared():
        raise FileNotFoundError(not_prepared(name, data_dir))
    return builder


def _image_and_label(name: str, info: Any) -> tuple[str, str]:
    """The keys of the image and of the label in the data set's examples."""
    tfds = _import_tfds()
    is_dict = isinstance(info.features, tfds.features.FeaturesDict)
    features = dict(info.features.items()) if is_dict else {}
    keys = info.supervised_keys or ("image", "label")
    found: list[Any] = [features.get(key) if isinstance(key, str) else None for key in keys[:2]]
    image, label = found
    if (
        not isinstance(image, tfds.features.Image)
        or image.np_dtype != np.uint8
        or image.shape[2] is None
        or not isinstance(label, tfds.features.ClassLabel)
    ):
        raise ValueError(
            "`name` must be a data set of uint8 images with a class label each. "
            f"Received: name={name!r}, whose features are {features}"
        )
    return keys[0], keys[1]


def _import_tfds() -> Any:
    # Not at the top: the digits do without it, and it is an extra.
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "Data sets by name, other than the digits, come through tensorflow-datasets. Install "
            "it with `pip install 'keras-attn[train]'`."
        ) from error
    return tfds
