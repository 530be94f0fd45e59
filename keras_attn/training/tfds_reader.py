"""Data sets of tensorflow-datasets, read from a prepared folder or downloaded by it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn.training.image_dataset import ImageDataset, resize

HELD_OUT = ("test", "validation")  # the first of these that the data set has


def read_tfds(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    size: tuple[int, int] | None = None,
    seed: int = 0,
) -> ImageDataset:
    """Reads a data set of labelled images through tensorflow-datasets.

    Args:
        name: Its name there, such as `"cifar10"` or `"cifar10:3.0.2"`.
        data_dir: The folder that holds it prepared; nothing is downloaded. `None` means
            tensorflow-datasets' own folder, into which it downloads what is missing.
        size: `(H, W)` to which images are resized, or `None` for the size they have.
        seed: Kept in the result; the splits are the data set's own.

    Returns:
        An `ImageDataset` of uint8 images.

    Raises:
        FileNotFoundError: If `data_dir` is given and doesn't hold the data set.
        ValueError: If tensorflow-datasets knows no such name, or if it isn't a data set of
            labelled uint8 images, of one size (or `size` is given), with a held-out split.
        ImportError: If tensorflow-datasets is not installed.

    Example:
        >>> read_tfds("cifar10", data_dir="data/tfds").image_shape
        (32, 32, 3)
    """
    builder = _prepared_builder(name, data_dir)
    info = builder.info
    image_key, label_key = _image_and_label(name, info)
    shape = info.features[image_key].shape  # (h, w, C), h and w None where they differ
    if size is None and None in shape[:2]:
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

    def read(split: str) -> tf.data.Dataset:
        # tfds would cache before the resizing; `load_dataset` caches after it.
        config = _import_tfds().ReadConfig(try_autocache=False)
        examples = builder.as_dataset(split=split, shuffle_files=False, read_config=config)

        def pair(example: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
            image = example[image_key]
            if (height, width) != tuple(shape[:2]):
                image = resize(image, (height, width))
            return tf.ensure_shape(image, (height, width, shape[2])), example[label_key]

        return examples.map(pair, num_parallel_calls=tf.data.AUTOTUNE)

    return ImageDataset(
        name=name,
        class_names=tuple(info.features[label_key].names),
        image_shape=(height, width, shape[2]),
        train=read("train"),
        test=read(held_out),
        train_size=info.splits["train"].num_examples,
        test_size=info.splits[held_out].num_examples,
        seed=seed,
    )


def _prepared_builder(name: str, data_dir: str | os.PathLike[str] | None) -> Any:
    tfds = _import_tfds()
    if data_dir is not None:
        # Looked up before tfds is asked: for what is not on disk it would go to the network.
        folder = Path(data_dir, name.split("/")[0].split(":")[0])
        if not folder.is_dir() or not any(folder.rglob("dataset_info.json")):
            raise FileNotFoundError(_not_prepared(name, data_dir))
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(
            "`name` must be 'digits' or a data set that tensorflow-datasets knows "
            f"(tensorflow.org/datasets/catalog). Received: name={name!r}"
        ) from error
    if data_dir is None:
        builder.download_and_prepare()
    elif not builder.is_prepared():
        raise FileNotFoundError(_not_prepared(name, data_dir))
    return builder


def _not_prepared(name: str, data_dir: str | os.PathLike[str]) -> str:
    folder = os.fspath(data_dir)
    return (
        f"`data_dir` must hold the prepared data set {name!r}. Received: data_dir={folder!r}, "
        f"which does not. Prepare it there with `tfds build {name} --data_dir {folder}`, or "
        "leave `data_dir` out to have it downloaded."
    )


def _image_and_label(name: str, info: Any) -> tuple[str, str]:
    """The keys of the image and of the label in the data set's examples."""
    tfds = _import_tfds()
    is_dict = isinstance(info.features, tfds.features.FeaturesDict)
    features = dict(info.features.items()) if is_dict else {}
    keys = info.supervised_keys or ("image", "label")
    image, label = (features.get(key) if isinstance(key, str) else None for key in keys[:2])
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
            "Data sets other than the digits come through tensorflow-datasets. Install it with "
            "`pip install 'keras-attn[train]'`."
        ) from error
    return tfds
