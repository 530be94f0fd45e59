"""The `.keras` archive: its members measured before they are unpacked."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from keras_attn.weights.formats.hdf5_file import check_dataset, walk
from keras_attn.weights.formats.reading import (
    MIB,
    MOST_JSON,
    most_bytes,
    open_zip,
    read_json,
    reading,
)

CONFIG = "config.json"
WEIGHTS = "model.weights.h5"
UNREADABLE = "is no readable Keras weights file"


@contextmanager
def weights_file(path: Path) -> Iterator[Path]:
    """The `.weights.h5` in a `.keras` file, beside it for a while; or the file itself.

    Args:
        path: A `.keras` or `.weights.h5` file.

    Yields:
        The path of the weights.

    Raises:
        ValueError: If the archive is damaged, or would unpack to far more than it is.
    """
    if path.suffix != ".keras":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="keras_attn-") as folder:
        unpacked = Path(folder) / WEIGHTS
        with reading(path, UNREADABLE), open_zip(path) as archive:
            _check_members(path, archive)
            with archive.open(WEIGHTS) as member, unpacked.open("wb") as file:
                while piece := member.read(MIB):
                    file.write(piece)
        yield unpacked


def read_config(path: Path) -> Any:
    """The network's configuration in a `.keras` file.

    Args:
        path: The file.

    Returns:
        What its JSON says.

    Raises:
        ValueError: If the archive is damaged, or the configuration too long or no JSON.
    """
    with reading(path, "is no readable Keras file"), open_zip(path) as archive:
        _check_members(path, archive)
        with archive.open(CONFIG) as member:
            return read_json(member.read(MOST_JSON + 1))


def check_keras_archive(path: Path) -> None:
    """Raises where a `.keras` file asks for more than it holds, before Keras reads it.

    Args:
        path: The file.

    Raises:
        ValueError: If it is damaged, compressed beyond measure, or has arrays that it doesn't hold.
    """
    read_config(path)
    with (
        weights_file(path) as weights,
        reading(path, UNREADABLE),
        h5py.File(weights, "r") as file,
    ):
        for _, found in walk(file):
            if isinstance(found, h5py.Dataset):
                check_dataset(found)


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    size, most = sum(member.file_size for member in archive.infolist()), most_bytes(path)
    if size > most:
        raise zipfile.BadZipFile(f"it unpacks to {size} bytes, more than {most}")
