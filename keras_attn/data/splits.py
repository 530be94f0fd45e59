"""Where the images of a split lie: in memory, in files, or in a stream of TensorFlow's."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import math
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

CACHE_BYTES = 2**30  # a split that is larger than this, decoded, is not kept in memory


class Split(abc.ABC):
    """The training or the held-out images of an `ImageDataset`; `len` counts them.

    `ArraySplit`, `FileSplit` and `RecordSplit` give any row at any time, on every backend.
    `StreamSplit` only gives one image after another, and needs TensorFlow.

    Attributes:
        labels: Label of each image, int64 `(N,)`.
    """

    @property
    @abc.abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)` of every image."""

    if TYPE_CHECKING:  # a dataclass's field can't stand in for a property

        @property
        def labels(self) -> np.ndarray:
            """The label of each image, int64 `(N,)`."""
            raise NotImplementedError

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def digest(self) -> str:
        """What tells these images and labels from others, as a hexadecimal sha256."""

    @abc.abstractmethod
    def subset(self, rows: np.ndarray) -> Split:
        """The split of these ascending rows, integers `(n,)`."""

    @abc.abstractmethod
    def shift_labels(self, shifts: np.ndarray, num_classes: int) -> Split:
        """The split whose labels are `(labels + shifts) % num_classes`; `shifts` is `(N,)`."""

    def nbytes(self) -> int:
        """How much memory the images would take as uint8."""
        return len(self) * math.prod(self.image_shape)


class RandomAccessSplit(Split):
    """A split that gives any row at any time.

    Attributes:
        knows_labels: Whether `labels` takes no reading of the images.
    """

    knows_labels: ClassVar[bool] = True

    def __len__(self) -> int:
        return len(self.labels)

    @abc.abstractmethod
    def read(self, rows: np.ndarray) -> np.ndarray:
        """The images of the rows `(n,)`: `(n, H, W, C)`, uint8 unless the split is of floats."""

    @abc.abstractmethod
    def in_memory(self) -> np.ndarray | None:
        """All images, `(N, H, W, C)`, or `None` if they are too large to be kept in memory."""

    def shift_labels(self, shifts: np.ndarray, num_classes: int) -> RandomAccessSplit:
        """The split whose labels are `(labels + shifts) % num_classes`; `shifts` is `(N,)`."""
        labels = (self.labels + shifts) % num_classes
        return dataclasses.replace(self, labels=labels)  # type: ignore[type-var]


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySplit(RandomAccessSplit):
    """Images in memory.

    Attributes:
        images: uint8, or float32 with values 0..255: `(N, H, W, C)`.
        labels: int64 `(N,)`.
    """

    images: np.ndarray
    labels: np.ndarray  # pyright: ignore[reportIncompatibleMethodOverride]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)` of every image."""
        height, width, channels = self.images.shape[1:]
        return (height, width, channels)

    def digest(self) -> str:
        """The sha256 of the images' shape, type and bytes and of the labels' bytes."""
        digest = hashlib.sha256(f"{self.images.shape} {self.images.dtype}".encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def subset(self, rows: np.ndarray) -> ArraySplit:
        """The split of these ascending rows, integers `(n,)`."""
        return ArraySplit(self.images[rows], self.labels[rows])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The images of the rows `(n,)`: `(n, H, W, C)`."""
        images: np.ndarray = self.images[rows]
        return images

    def in_memory(self) -> np.ndarray:
        """All images, `(N, H, W, C)`."""
        return self.images


@dataclasses.dataclass(frozen=True, eq=False)
class StreamSplit(Split):
    """A `tf.data.Dataset`, for what is too large for memory and can't be read in any order.

    Attributes:
        dataset: Unbatched `(image, label)`: uint8 or float32 `(H, W, C)` with values 0..255 and
            static sizes, and a scalar integer. The same order in each pass.
        size: Number of images that it gives.
        identity: Text that tells the data from others, such as a name and a version. `None` means
            their bytes: `digest` then reads the whole stream.
    """

    dataset: tf.data.Dataset
    size: int
    identity: str | None = None
    _kept: list[np.ndarray] = dataclasses.field(default_factory=list, repr=False)

    @property
    def labels(self) -> np.ndarray:
        """The label of each image, int64 `(N,)`; reads the whole stream when first asked."""
        if not self._kept:
            stream = self.dataset.map(lambda image, label: label).batch(1024)
            self._kept.append(np.concatenate(list(stream.as_numpy_iterator())).astype("int64"))
        return self._kept[0]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)` of every image."""
        height, width, channels = cast(tuple[int, int, int], self.image_spec.shape)
        return (height, width, channels)

    @property
    def image_spec(self) -> tf.TensorSpec:
        """Shape and dtype of every image."""
        image, _ = cast(tuple[Any, Any], self.dataset.element_spec)
        return image

    def __len__(self) -> int:
        return self.size

    def digest(self) -> str:
        """The sha256 of `identity`, or of every image and label where that is `None`."""
        if self.identity is not None:
            return hashlib.sha256(self.identity.encode()).hexdigest()
        digest = hashlib.sha256(str(self.image_shape).encode())
        for image, label in self.dataset.as_numpy_iterator():
            digest.update(np.ascontiguousarray(image).tobytes() + int(label).to_bytes(8, "little"))
        return digest.hexdigest()

    def subset(self, rows: np.ndarray) -> StreamSplit:
        """The split of these ascending rows, integers `(n,)`; the others are read and dropped."""
        import tensorflow as tf

        chosen = np.zeros(self.size, bool)
        chosen[rows] = True
        is_chosen = tf.constant(chosen)
        kept = self.dataset.enumerate().filter(
            lambda index, example: is_chosen[index]  # pyright: ignore[reportArgumentType]
        )
        return StreamSplit(
            kept.map(lambda index, example: example), len(rows), self._with("rows", rows)
        )

    def shift_labels(self, shifts: np.ndarray, num_classes: int) -> StreamSplit:
        """The split whose labels are `(labels + shifts) % num_classes`; `shifts` is `(N,)`."""
        import tensorflow as tf

        by_row = tf.constant(shifts, tf.int64)

        def shifted(index: Any, example: Any) -> Any:
            image, label = example
            return image, (tf.cast(label, tf.int64) + by_row[index]) % num_classes

        dataset = self.dataset.enumerate().map(shifted)
        return StreamSplit(dataset, self.size, self._with("shifts", shifts))

    def _with(self, what: str, numbers: np.ndarray) -> str | None:
        if self.identity is None:
            return None
        digest = hashlib.sha256(np.ascontiguousarray(numbers, "int64").data).hexdigest()
        return f"{self.identity}; {what} {digest}"
