"""What every source of images gives: a named set of labelled images, split in two."""

import dataclasses
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """A named set of labelled images, split into training and test images.

    Attributes:
        name: The data set's name, as given to `load_dataset`.
        class_names: One name for each class; a label is an index into it.
        image_shape: `(H, W, C)` of every image.
        train: Unbatched `tf.data.Dataset` of `(image, label)`: an image `(H, W, C)` with values
            0..255 (uint8 from `load_dataset`; float32 works too), and a scalar integer label.
            The order is the same in each pass.
        test: The held-out images, in the same form.
        train_size: How many images `train` gives.
        test_size: How many images `test` gives.
        seed: The seed that chose the split (digits) and the subset (`limit`). A later
            evaluation must load the data with this seed, or it would see training images.
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train: tf.data.Dataset
    test: tf.data.Dataset
    train_size: int
    test_size: int
    seed: int = 0

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)


def resize(images: Any, size: tuple[int, int]) -> tf.Tensor:
    """Resizes images, bilinear with antialiasing.

    Args:
        images: `(..., h, w, C)` with values 0..255, of any number type.
        size: `(H, W)`.

    Returns:
        uint8 `(..., H, W, C)`.
    """
    images = tf.image.resize(images, size, method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(images), 0.0, 255.0), tf.uint8)
