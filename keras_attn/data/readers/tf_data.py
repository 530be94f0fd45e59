"""Labelled images of a `tf.data.Dataset`, such as `image_dataset_from_directory` makes."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from keras_attn.data import splits
from keras_attn.data.splits import ArraySplit, Split, StreamSplit

if TYPE_CHECKING:
    import tensorflow as tf


def is_tf_data(value: Any) -> bool:
    """Whether it is a `tf.data.Dataset`."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(value, tensorflow.data.Dataset)


def read_tf_data(which: str, dataset: tf.data.Dataset) -> Split:
    """Reads a split of labelled images.

    Up to 1 GiB is read into memory, and sorted by labels and pixels: whatever order the data set
    gives them in, one training sees the same images in the same order as the next. More stays a
    stream, which must give the same order in each pass.

    Args:
        which: Name of the argument, for messages.
        dataset: `(image, label)`, in batches or one by one: uint8 or float32 `(H, W, C)` with
            values 0..255, and an integer, a class one-hot, or 0 or 1.

    Returns:
        An `ArraySplit` or a `StreamSplit`.

    Raises:
        ValueError: If the elements are not such, if there are none, or if there is no end of them.
    """
    import tensorflow as tf

    image, label = _specs(which, dataset)
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            f"`{which}` must have an end. Received: an endless tf.data.Dataset, perhaps by "
            "`repeat()`"
        )
    if image.shape.rank == 3:
        dataset, image = dataset.batch(256), tf.TensorSpec((None, *image.shape), image.dtype)
        label = tf.TensorSpec((None, *label.shape), label.dtype)
    numbered = dataset.map(lambda images, labels: (images, _as_numbers(labels, label.shape)))
    read, size = [], 0
    for batch in numbered.as_numpy_iterator():
        read.append(cast(tuple[np.ndarray, np.ndarray], batch))
        size += batch[0].nbytes
        if size > splits.CACHE_BYTES:
            return _stream(numbered, image)
    if not read:
        raise ValueError(f"`{which}` must have an image at least. Received: no image")
    images, labels = (np.concatenate(each) for each in zip(*read, strict=True))
    order = sorted(range(len(labels)), key=lambda i: (labels[i], _digest(images[i])))
    return ArraySplit(images[order], labels[order])


def _specs(which: str, dataset: tf.data.Dataset) -> tuple[Any, Any]:
    """What the images and the labels are."""
    spec: Any = dataset.element_spec
    if isinstance(spec, tuple) and all(hasattr(each, "shape") for each in spec) and len(spec) == 2:
        image, label = spec
        is_batched = image.shape.rank == 4
        is_image = image.shape.rank in (3, 4) and None not in image.shape[-3:]
        if is_image and label.shape.rank in (is_batched, is_batched + 1):
            return image, label
    raise ValueError(
        f"`{which}` must give (image, label), images of one size (H, W, C) and a label each, in "
        f"batches or not. Received: a tf.data.Dataset of {spec}"
    )


def _as_numbers(labels: Any, shape: Any) -> Any:
    """Labels of a batch, int64 `(B,)`: of numbers `(B,)` or `(B, 1)`, or of classes one-hot."""
    import tensorflow as tf

    if shape.rank == 2 and shape[-1] != 1:
        return tf.argmax(labels, axis=-1, output_type=tf.int64)
    return tf.cast(tf.reshape(labels, [-1]), tf.int64)


def _stream(batches: tf.data.Dataset, image: Any) -> StreamSplit:
    import tensorflow as tf

    dataset = batches.unbatch().map(lambda x, y: (tf.ensure_shape(x, image.shape[1:]), y))
    labels = dataset.map(lambda image, label: label).batch(1024).as_numpy_iterator()
    return StreamSplit(dataset, sum(map(len, labels)))


def _digest(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()


def count_classes(dataset: tf.data.Dataset, split: Split) -> int:
    """As many as one-hot labels are wide, or one more than the greatest label."""
    image, label = cast(tuple[Any, Any], dataset.element_spec)
    if label.shape.rank == (image.shape.rank == 4) + 1 and label.shape[-1] not in (None, 1):
        return int(label.shape[-1])
    return int(split.labels.max(initial=-1)) + 1
