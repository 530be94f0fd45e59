"""Images in files of records, as tensorflow-datasets writes them, with any record at any time."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_attn.data.encoded import EncodedSplit, digested
from keras_attn.data.readers.kept_arrays import load_arrays, save_arrays

# A TFRecord is its length (8 bytes) and the length's checksum (4), the record, and its own (4).
BEFORE, AFTER = 12, 4


@dataclasses.dataclass(frozen=True)
class RecordSource:
    """A record that holds an encoded image and its label, a tf.train.Example.

    Attributes:
        file: The file.
        start: Where the record begins, or its number in a file of ArrayRecord.
        length: How many bytes it has, or -1 in a file of ArrayRecord.
        image_key: Key of the image.
        label_key: Key of the label.
        shift: What is added to the label, and the number of classes that it is then taken of.
    """

    file: str
    start: int
    length: int
    image_key: str
    label_key: str
    shift: tuple[int, int]

    @property
    def name(self) -> str:
        """File and place."""
        return f"{self.file}, record at {self.start}"

    def record(self) -> bytes:
        """The record's bytes."""
        if self.length < 0:
            found: bytes = _array_record(self.file).read([self.start])[0]
            return found
        record = _opened(self.file).read(self.length, self.start)
        if len(record) < self.length:
            raise ValueError(f"`path` must be a whole file of records. Received: {self.name}")
        return record

    def load(self) -> tuple[bytes, int]:
        """The encoded image, and its label."""
        from tensorflow_datasets.proto import tf_example_pb2

        features = tf_example_pb2.Example.FromString(self.record()).features.feature
        [image] = features[self.image_key].bytes_list.value
        [label] = features[self.label_key].int64_list.value
        shift, classes = self.shift
        return image, (label + shift) % classes if shift else label


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class RecordSplit(EncodedSplit):
    """Encoded images in files of records.

    Attributes:
        files: The files.
        places: For each of N images the number of its file, and where its record begins and how
            long it is, as `RecordSource` has it: int64 `(N, 3)`.
        keys: Keys of image and label in a record.
        identity: Text that tells the data from others, such as a name and a version.
        num_classes: Number of classes.
        of_channels: 3 (RGB) or 1 (grey).
        shifts: What is added to each label, int64 `(N,)`, or `None`.
    """

    files: tuple[str, ...]
    places: np.ndarray = dataclasses.field(repr=False)
    keys: tuple[str, str]
    identity: str
    num_classes: int
    of_channels: int = 3
    shifts: np.ndarray | None = dataclasses.field(default=None, repr=False)
    _labels: list[np.ndarray] = dataclasses.field(default_factory=list, repr=False)

    knows_labels = False

    @property
    def channels(self) -> int:
        """3 (RGB) or 1 (grey)."""
        return self.of_channels

    @property
    def labels(self) -> np.ndarray:
        """The label of each image, int64 `(N,)`; reads all records when first asked."""
        if not self._labels:
            with ThreadPoolExecutor() as threads:
                found = threads.map(lambda row: self.source(row).load()[1], range(len(self)))
                self._labels.append(np.array(list(found), "int64"))
        return self._labels[0]

    def __len__(self) -> int:
        return len(self.places)

    def source(self, row: int) -> RecordSource:
        """The record of a row."""
        file, start, length = self.places[row].tolist()
        shift = 0 if self.shifts is None else int(self.shifts[row])
        return RecordSource(self.files[file], start, length, *self.keys, (shift, self.num_classes))

    def digest(self) -> str:
        """The sha256 of `identity`, the rows, the shifts and the preprocessing."""
        digest = hashlib.sha256(f"{self.identity} {digested(self.preprocessing)}".encode())
        for numbers in (self.places, np.zeros(0) if self.shifts is None else self.shifts):
            digest.update(np.ascontiguousarray(numbers, "int64").data)
        return digest.hexdigest()

    def subset(self, rows: np.ndarray) -> RecordSplit:
        """The split of these ascending rows, integers `(n,)`."""
        shifts = None if self.shifts is None else self.shifts[rows]
        return self._replaced(places=self.places[rows], shifts=shifts)

    def shift_labels(self, shifts: np.ndarray, num_classes: int) -> RecordSplit:
        """The split whose labels are `(labels + shifts) % num_classes`; `shifts` is `(N,)`."""
        before = 0 if self.shifts is None else self.shifts
        return self._replaced(shifts=np.asarray(before + shifts, "int64"), num_classes=num_classes)

    def _replaced(self, **fields: Any) -> RecordSplit:
        return dataclasses.replace(self, **fields, _kept=[], _labels=[])


def tfrecord_places(files: Sequence[str]) -> np.ndarray:
    """Where the records of TFRecord files are, see `RecordSplit`.

    Only their lengths are read, and kept in the cache: a file that is as it was by its size and
    times is not read again.

    Raises:
        ValueError: If a file ends within a record.
    """
    stats = np.array([_stats(file) for file in files], "int64")
    name = "\0".join(os.path.abspath(file) for file in files)
    kept = load_arrays("records", name)
    if kept and np.array_equal(kept["stats"], stats):
        return kept["places"]
    with ThreadPoolExecutor() as threads:  # a slow disk or a network answers many at once
        found = list(threads.map(_places_in, files))
    places = np.concatenate(
        [np.column_stack([np.full(len(each), number), each]) for number, each in enumerate(found)]
    ).astype("int64")
    save_arrays("records", name, {"stats": stats, "places": places})
    return places


def array_record_places(lengths: Sequence[int]) -> np.ndarray:
    """The same of files of ArrayRecord that hold so many records each."""
    return np.concatenate(
        [
            np.column_stack([np.full(count, number), np.arange(count), np.full(count, -1)])
            for number, count in enumerate(lengths)
        ]
    ).astype("int64")


def _places_in(file: str) -> np.ndarray:
    """Where each record of a file begins and how long it is, `(n, 2)`."""
    found, at = [], 0
    with open(file, "rb", buffering=0) as opened:
        end = opened.seek(0, os.SEEK_END)
        while at < end:
            head = os.pread(opened.fileno(), 8, at)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else end
            if at + BEFORE + length + AFTER > end:
                raise ValueError(
                    f"`name` must have whole files. Received: {file}, which ends within a record"
                )
            found.append((at + BEFORE, length))
            at += BEFORE + length + AFTER
    return np.array(found, "int64").reshape(-1, 2)


def _stats(file: str) -> tuple[int, int, int]:
    found = os.stat(file)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _Opened:
    """A file that stays open until none reads it any more."""

    def __init__(self, file: str) -> None:
        self.descriptor = os.open(file, os.O_RDONLY)

    def read(self, length: int, start: int) -> bytes:
        return os.pread(self.descriptor, length, start)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


_opened = functools.lru_cache(maxsize=256)(_Opened)  # the next record may be of the same file


@functools.lru_cache(maxsize=256)
def _array_record(file: str) -> Any:
    from array_record.python.array_record_module import ArrayRecordReader

    return ArrayRecordReader(file, options="readahead_buffer_size:0")
