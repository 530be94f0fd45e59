"""Images that stay encoded, at their own sizes, until they are asked for."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from keras_attn.data import splits
from keras_attn.data.file_digest import digest_files
from keras_attn.data.splits import RandomAccessSplit
from keras_attn.images import Preprocessing
from keras_attn.images.reader import read_picture

if TYPE_CHECKING:
    from keras_attn.data.readers.folder_index import FolderIndex


class Source(Protocol):
    """Where one encoded image is: little, and the same in another process."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def load(self) -> tuple[bytes, int | None]:
        """The encoded image, and its label where that stands beside it."""
        ...


@dataclasses.dataclass(frozen=True)
class FileSource:
    """A file of one image, whose label is known from elsewhere."""

    name: str

    def load(self) -> tuple[bytes, None]:
        """The file's bytes."""
        return Path(self.name).read_bytes(), None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class EncodedSplit(RandomAccessSplit):
    """Encoded images, which `keras_attn.images` decodes when they are asked for.

    Images that are small enough together (`CACHE_BYTES`) are decoded once, at the first read at
    the latest.

    Attributes:
        preprocessing: How a picture becomes an image of the network's size.
        is_varied: Whether they are photographs: their own sizes are not all the network's.
            "random_resized_crop" then cuts its part out of the picture itself.
    """

    preprocessing: Preprocessing
    is_varied: bool
    _kept: list[np.ndarray] = dataclasses.field(default_factory=list, repr=False)

    @property
    def channels(self) -> int:
        """3 (RGB) or 1 (grey)."""
        return 3

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)`."""
        height, width = self.preprocessing.size or (0, 0)
        return (height, width, self.channels)

    @property
    def images(self) -> np.ndarray:
        """All images, uint8 `(N, H, W, C)`; of a large split, decoded each time."""
        return self.read(np.arange(len(self)))

    @abc.abstractmethod
    def source(self, row: int) -> Source:
        """Where the image of a row is."""

    def with_preprocessing(self, preprocessing: Preprocessing) -> EncodedSplit:
        """The same pictures, which become images in another way."""
        if preprocessing == self.preprocessing:
            return self
        return dataclasses.replace(self, preprocessing=preprocessing, _kept=[])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The images of the rows `(n,)`: uint8 `(n, H, W, C)`."""
        images = self.in_memory()
        if images is not None:
            chosen: np.ndarray = images[rows]
            return chosen
        return self._decode(rows)

    def in_memory(self) -> np.ndarray | None:
        """All images, uint8 `(N, H, W, C)`, or `None` if they exceed `CACHE_BYTES`."""
        if not self._kept and self.is_small():
            self._kept.append(self._decode(np.arange(len(self))))
        return self._kept[0] if self._kept else None

    def is_small(self) -> bool:
        """Whether all images together are kept in memory."""
        return self.nbytes() <= splits.CACHE_BYTES

    def _decode(self, rows: Iterable[int]) -> np.ndarray:
        def decode(row: int) -> np.ndarray:
            source = self.source(int(row))
            return self.preprocessing.fit_picture(picture_of(source, self.channels)[0])

        with ThreadPoolExecutor() as threads:  # Pillow decodes and resizes without Python's lock
            return np.stack(list(threads.map(decode, rows)))


def picture_of(source: Source, channels: int) -> tuple[Any, int | None]:
    """The upright `PIL.Image.Image` of a source, and its label where that stands beside it.

    Raises:
        ValueError: If it is no image; the message names it.
    """
    encoded, label = source.load()
    return read_picture(source.name, channels, encoded), label


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class FileSplit(EncodedSplit):
    """Image files.

    Attributes:
        root: Folder in which the paths are.
        paths: N paths, relative to `root`.
        labels: int64 `(N,)`.
        index: What is known of the folder's files, where they are many.
    """

    root: Path
    paths: tuple[str, ...] = dataclasses.field(repr=False)
    labels: np.ndarray  # pyright: ignore[reportIncompatibleMethodOverride]
    index: FolderIndex | None = dataclasses.field(default=None, repr=False)

    def source(self, row: int) -> FileSource:
        """The file of a row."""
        return FileSource(str(self.root / self.paths[row]))

    def digest(self) -> str:
        """The sha256 of relative paths, contents and labels, and of the preprocessing."""
        digest = hashlib.sha256(digested(self.preprocessing).encode())
        found = zip(self.paths, self._contents(), self.labels.tolist(), strict=True)
        lines = [f"{path}\0{content}\0{label}\n" for path, content, label in found]
        digest.update("".join(lines).encode())
        return digest.hexdigest()

    def _contents(self) -> Sequence[str]:
        if self.index is not None:
            return self.index.digests(self.paths)
        return digest_files(self.root, self.paths)

    def subset(self, rows: np.ndarray) -> FileSplit:
        """The split of these ascending rows, integers `(n,)`."""
        paths = tuple(self.paths[row] for row in rows)
        return dataclasses.replace(self, paths=paths, labels=self.labels[rows], _kept=[])


def digested(preprocessing: Preprocessing) -> str:
    """What a digest holds of how pictures become images: of whole ones, the size alone."""
    if preprocessing.crop is None and preprocessing.interpolation == "bilinear":
        return repr(preprocessing.size)
    return repr((preprocessing.size, preprocessing.crop, preprocessing.interpolation))
