"""Scikit-learn's bundled handwritten digits, for which nothing is downloaded."""

import numpy as np

from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.splits import ArraySplit

TEST_SHARE = 0.2
SIZE = (32, 32)


def read_digits(
    *, size: tuple[int, int] = SIZE, seed: int = 0, test_share: float = TEST_SHARE
) -> ImageDataset:
    """Reads the 1,797 real digits, 8x8 with values 0..16, as images that any network takes.

    Args:
        size: `(H, W)` to which they are resized.
        seed: Seed of the choice of held-out images. The share is the same in each class.
        test_share: Share of images that is held out.

    Returns:
        An `ImageDataset` of uint8 images `(H, W, 3)`, three equal channels, values 0..255.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If `test_share` leaves no image of each class on either side.

    Example:
        >>> data = read_digits()
        >>> data.image_shape, data.train_size, data.test_size
        ((32, 32, 3), 1437, 360)
    """
    pixels, labels = digit_images()
    from sklearn.model_selection import train_test_split

    images = np.repeat(resize(pixels[..., None], size), 3, axis=-1)  # (N, H, W, 3)
    try:
        train, test = train_test_split(
            np.arange(len(labels)), test_size=test_share, stratify=labels, random_state=seed
        )
    except ValueError as error:
        raise ValueError(
            "`test_share` must leave an image of each class on both sides. "
            f"Received: test_share={test_share!r}"
        ) from error
    return ImageDataset(
        name="digits",
        class_names=tuple(str(digit) for digit in range(10)),
        image_shape=(*size, 3),
        train=ArraySplit(images[train], labels[train]),
        test=ArraySplit(images[test], labels[test]),
        seed=seed,
    )


def digit_images() -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's digits as they are: (1797, 8, 8) from 0 to 255, and int64 (1797,) classes.

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "The digits come with scikit-learn. Install it with `pip install 'keras-attn[train]'`."
        ) from error
    source = load_digits()
    return source.images * (255.0 / 16.0), source.target.astype("int64")


def resize(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes images, bilinear with antialiasing.

    Args:
        images: `(N, h, w, C)` with values 0..255, of any number type.
        size: `(H, W)`.

    Returns:
        uint8 `(N, H, W, C)`.
    """
    rows, columns = (_resizing(*lengths) for lengths in zip(images.shape[1:3], size, strict=True))
    images = np.einsum("Hh,nhwc->nHwc", rows, images.astype("float32"))
    images = np.einsum("Ww,nhwc->nhWc", columns, images)
    return np.clip(np.round(images), 0, 255).astype("uint8")


def _resizing(old: int, new: int) -> np.ndarray:
    """The matrix `(new, old)` of a linear resizing: triangles around half-pixel centres."""
    scale = max(old / new, 1.0)  # the triangle covers each old pixel when there are fewer new ones
    centres = (np.arange(new)[:, None] + 0.5) * old / new - 0.5  # (new, 1)
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(old) - centres) / scale)
    matrix: np.ndarray = (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
    return matrix
