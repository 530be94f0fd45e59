"""Scikit-learn's bundled handwritten digits, for which nothing is downloaded."""

import numpy as np
import tensorflow as tf

from keras_attn.training.image_dataset import ImageDataset, resize

TEST_SHARE = 0.2
SIZE = (32, 32)


def read_digits(*, size: tuple[int, int] = SIZE, seed: int = 0) -> ImageDataset:
    """Reads the 1,797 real digits, 8x8 with values 0..16, as images that any network takes.

    Args:
        size: `(H, W)` to which they are resized.
        seed: Chooses the held-out 20 %, stratified: the share is the same in each class.

    Returns:
        An `ImageDataset` of uint8 images `(H, W, 3)`, three equal channels, values 0..255.

    Raises:
        ImportError: If scikit-learn is not installed.

    Example:
        >>> data = read_digits()
        >>> data.image_shape, data.train_size, data.test_size
        ((32, 32, 3), 1437, 360)
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise ImportError(
            "The digits come with scikit-learn. Install it with `pip install 'keras-attn[train]'`."
        ) from error

    source = load_digits()
    images = source.images[..., None] * (255.0 / 16.0)  # (N, 8, 8, 1)
    images = np.repeat(resize(images, size).numpy(), 3, axis=-1)  # (N, H, W, 3)
    labels = source.target.astype("int64")
    train, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_SHARE, stratify=labels, random_state=seed
    )

    def split(indices: np.ndarray) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices((images[indices], labels[indices]))

    return ImageDataset(
        name="digits",
        class_names=tuple(str(digit) for digit in source.target_names),
        image_shape=(*size, 3),
        train=split(train),
        test=split(test),
        train_size=len(train),
        test_size=len(test),
        seed=seed,
    )
