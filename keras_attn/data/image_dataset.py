"""What every source of images gives: a named set of labelled images, split in two."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_attn.data.encoded import EncodedSplit
from keras_attn.data.readers.tf_data import count_classes, read_tf_data
from keras_attn.data.splits import ArraySplit, RandomAccessSplit, Split
from keras_attn.images import Preprocessing
from keras_attn.images.resizing import Interpolation

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """A named set of labelled images, split into training and held-out images.

    Attributes:
        name: Name of the data set, as given to `load_dataset`.
        class_names: One name for each class; a label is an index into it.
        image_shape: `(H, W, C)` of every image.
        train: Training images, an `ArraySplit`, a `FileSplit`, a `RecordSplit` or a `StreamSplit`.
        test: Held-out images.
        seed: Seed that chose the split, the subset (`limit`) and the label noise. A later
            evaluation must load the data with this seed, or it would see training images.
        options: Other arguments that `load_dataset` was given, to be given again.
        notes: What one may want to know of how they were read: files left out, images resized.

    Raises:
        ValueError: If a split is empty or of other image sizes, a label has no class, or a class
            has no training image. (Labels that stand beside each image in files of records, and
            those of a stream, are not looked at.)

    Example:
        >>> images, labels = np.zeros((6, 8, 8, 3), "uint8"), np.arange(6) % 2
        >>> split = ArraySplit(images, labels)
        >>> ImageDataset("black", ("a", "b"), (8, 8, 3), split, split).num_classes
        2
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train: Split
    test: Split
    seed: int = 0
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<ImageDataset {self.name!r}: {self.num_classes} classes, {self.train_size:,} images "
            f"to train on, {self.test_size:,} held out, (H, W, C) = {self.image_shape}>"
        )

    def __post_init__(self) -> None:
        if not self.class_names or len(set(self.class_names)) < len(self.class_names):
            raise ValueError(
                "`class_names` must be names that differ, at least one. "
                f"Received: class_names={self.class_names}"
            )
        for which in ("train", "test"):
            _check_split(which, getattr(self, which), self.image_shape, self.num_classes)
        if isinstance(self.train, RandomAccessSplit) and self.train.knows_labels:
            counts = np.bincount(self.train.labels, minlength=self.num_classes)
            missing = [self.class_names[i] for i in np.flatnonzero(counts == 0)]
            if missing:
                raise ValueError(
                    f"`train` must have an image of each of the {self.num_classes} classes of "
                    f"{self.name!r}. Received: no image of {listed(map(repr, missing))}"
                )

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def preprocessing(self) -> Preprocessing:
        """How the held-out pictures become images: what belongs to a network that learns them."""
        if isinstance(self.test, EncodedSplit):
            return self.test.preprocessing
        return Preprocessing(self.image_shape[:2])

    def fitted(self, crop: float, interpolation: Interpolation) -> ImageDataset:
        """The same as a network's weights ask for it, where `load_dataset` was not told otherwise.

        Args:
            crop: Share of the shorter side that is kept of photographs, see `Preprocessing`.
            interpolation: `"bilinear"` or `"bicubic"`.

        Returns:
            The same object where there are no photographs, or all was said of them.
        """
        said = {name: self.options.get(name) for name in ("crop", "interpolation")}
        kept = self.preprocessing.crop if said["crop"] or self.options.get("squash") else crop
        how = Preprocessing(
            self.image_shape[:2], crop=kept, interpolation=said["interpolation"] or interpolation
        )
        parts = {"train": self.train, "test": self.test}
        changed = {
            which: split.with_preprocessing(how)
            for which, split in parts.items()
            if isinstance(split, EncodedSplit) and split.is_varied
        }
        if all(parts[which] is split for which, split in changed.items()):
            return self
        return dataclasses.replace(self, **changed)  # type: ignore[arg-type]

    @property
    def train_size(self) -> int:
        """How many training images there are."""
        return len(self.train)

    @property
    def test_size(self) -> int:
        """How many held-out images there are."""
        return len(self.test)

    def fingerprint(self) -> str:
        """Tells these data from others: a hexadecimal sha256.

        It is over the names of the classes and over both splits: pixels and labels of arrays;
        relative paths, contents and labels of files, see `digest_files`; name, version, contents
        of the prepared files, `limit` and label noise of data from tensorflow-datasets, and
        all images of another stream. Label noise and `limit` change it in every case; the name of
        the data set, the folder that it is in and its files' times do not.
        """
        parts = [repr(tuple(self.class_names)), self.train.digest(), self.test.digest()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @classmethod
    def from_arrays(
        cls,
        train: tuple[Any, Any],
        test: tuple[Any, Any],
        *,
        class_names: Sequence[str] | None = None,
        name: str = "arrays",
        seed: int = 0,
    ) -> ImageDataset:
        """Makes a data set of arrays.

        Args:
            train: `(images, labels)`: uint8, or float32 with values 0..255, `(N, H, W, C)`, and
                integers `(N,)` or `(N, 1)`.
            test: Held-out images, in the same form.
            class_names: One name for each class. `None` means `"0"`, `"1"` and so on, up to the
                largest label.
            name: Name of the data set in messages and records.
            seed: Seed to keep in the result.

        Raises:
            ValueError: If an array has a wrong type, shape or value, or a class has no training
                image.

        Example:
            >>> images, labels = np.zeros((6, 8, 8, 3), "uint8"), np.arange(6) % 2
            >>> ImageDataset.from_arrays((images, labels), (images, labels)).class_names
            ('0', '1')
        """
        splits = {"train": _array_split("train", train), "test": _array_split("test", test)}
        if class_names is None:
            largest = max(int(split.labels.max(initial=-1)) for split in splits.values())
            class_names = [str(label) for label in range(largest + 1)]
        shape = splits["train"].image_shape
        train_split, test_split = splits["train"], splits["test"]
        return cls(name, tuple(class_names), shape, train_split, test_split, seed=seed)

    @classmethod
    def from_tf_data(
        cls,
        train: tf.data.Dataset,
        test: tf.data.Dataset,
        *,
        class_names: Sequence[str] | None = None,
        name: str = "tf.data",
        seed: int = 0,
    ) -> ImageDataset:
        """Takes two `tf.data.Dataset`s, as `keras.utils.image_dataset_from_directory` makes them.

        Each is read once: up to 1 GiB into memory, where its own order no longer counts. More
        stays a stream, which must give the same order in each pass.

        Args:
            train: `(image, label)`, in batches or one by one, without an endless `repeat()`: uint8
                or float32 `(H, W, C)` with values 0..255; labels are integers, classes one-hot, or
                0 and 1.
            test: Held-out images, in the same form.
            class_names: One name for each class. `None` means the data set's own `class_names`, or
                else `"0"`, `"1"` and so on.
            name: Name of the data set in messages and records.
            seed: Seed to keep in the result.

        Raises:
            ValueError: If the elements are not such images and labels.

        Example:
            >>> both = keras.utils.image_dataset_from_directory(
            ...     "photos", image_size=(64, 64), validation_split=0.2, subset="both", seed=0)
            >>> data = ImageDataset.from_tf_data(*both)
        """
        given = {"train": train, "test": test}
        read = {which: read_tf_data(which, dataset) for which, dataset in given.items()}
        for which, split in read.items():
            if isinstance(split, ArraySplit):
                read[which] = _array_split(which, (split.images, split.labels))
        if class_names is None:
            class_names = getattr(train, "class_names", None)
        if class_names is None:
            most = max(count_classes(given[which], split) for which, split in read.items())
            class_names = [str(label) for label in range(most)]
        shape = read["train"].image_shape
        return cls(name, tuple(class_names), shape, read["train"], read["test"], seed=seed)


def _check_split(
    which: str, split: Any, image_shape: tuple[int, int, int], num_classes: int
) -> None:
    if not isinstance(split, Split):
        raise ValueError(
            f"`{which}` must be a split: ArraySplit, FileSplit or StreamSplit (for arrays use "
            f"`ImageDataset.from_arrays`). Received: {which}={type(split).__name__}"
        )
    if not len(split):
        raise ValueError(f"`{which}` must have an image at least. Received: no image")
    if tuple(split.image_shape) != tuple(image_shape):
        raise ValueError(
            f"`{which}` must have images of (H, W, C) = {tuple(image_shape)}. "
            f"Received: images of {tuple(split.image_shape)}"
        )
    if isinstance(split, RandomAccessSplit) and split.knows_labels:
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= num_classes:
            raise ValueError(
                f"`{which}` must have labels from 0 to {num_classes - 1}, one for each of the "
                f"{num_classes} classes. Received: labels from {low} to {high}"
            )


def _array_split(which: str, arrays: Any) -> ArraySplit:
    if not isinstance(arrays, (tuple, list)) or len(arrays) != 2:
        raise ValueError(
            f"`{which}` must be a pair (images, labels). Received: {which}={type(arrays).__name__}"
        )
    images, labels = np.asarray(arrays[0]), np.asarray(arrays[1])
    if labels.shape == (len(images), 1):  # as in keras.datasets
        labels = labels[:, 0]
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(
            f"`{which}` must have images (N, H, W, C). Received: images of shape {images.shape}"
        )
    if images.dtype not in (np.uint8, np.float32):
        raise ValueError(
            f"`{which}` must have images of uint8, or of float32 with values 0..255. "
            f"Received: images of {images.dtype}"
        )
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"`{which}` must have an integer label for each of its {len(images)} images, of shape "
            f"({len(images)},). Received: labels of {labels.dtype} and shape {labels.shape}"
        )
    if images.dtype == np.float32 and images.size:
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 255):  # NaN too
            raise ValueError(
                f"`{which}` must have images with values 0..255. "
                f"Received: values from {low} to {high}"
            )
        if 0 < high <= 1:
            raise ValueError(
                f"`{which}` must have images with values 0..255; these look scaled to 0..1, "
                f"multiply them by 255. Received: values from {low} to {high}"
            )
    return ArraySplit(images, labels.astype("int64"))


def listed(names: Iterable[str], most: int = 10) -> str:
    """The names, the first few of many."""
    names = list(names)
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"
