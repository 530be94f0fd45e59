"""HDF5 as a stranger wrote it: what is in the file itself, and lies there as it is read.

HDF5 can point to other files, compress, and leave out what is a fill value: a few bytes may stand
for any number of GiB. Keras writes none of these, so they are refused; `h5repack` undoes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5t

from keras_attn.weights.formats.reading import MIB, MOST_NAME

MOST_OBJECTS = 20_000  # the largest networks have some 4,000, with an optimizer's
MOST_DEPTH = 50
MOST_NAMES = 64 * MIB
PLAIN = "h5repack -f NONE -l CONTI writes one that can be read"


def walk(group: h5py.Group) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """All groups and data sets under a group.

    Args:
        group: The group.

    Yields:
        Path and object, a group before what is in it.

    Raises:
        ValueError: If there are too many, too deep, or one is a link.
    """
    found = 0
    stack = [("", group)]
    while stack:
        path, parent = stack.pop()
        found += len(parent)
        if found > MOST_OBJECTS or path.count("/") > MOST_DEPTH:
            raise ValueError(f"it has over {MOST_OBJECTS} objects, or deeper than {MOST_DEPTH}")
        for name in parent:
            child = member(parent, name)
            yield f"{path}/{name}".lstrip("/"), child
            if isinstance(child, h5py.Group):
                stack.append((f"{path}/{name}", child))


def member(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """What stands at a path, in this very file: others are nobody's to read.

    Args:
        group: Where the path begins.
        path: Names, with `/` between them.

    Returns:
        The group or data set.

    Raises:
        KeyError: If it is missing, or a link.
    """
    found: Any = group
    for part in path.split("/"):
        is_group = isinstance(found, h5py.Group)
        if not is_group or not isinstance(found.get(part, getlink=True), h5py.HardLink):
            raise KeyError(f"{path[:MOST_NAME]} is missing, or a link")
        found = found[part]
    return found


def check_dataset(dataset: Any) -> None:
    """Raises unless it is a data set of real numbers that are all in the file.

    Args:
        dataset: The dataset that was found.

    Raises:
        ValueError: If it is of anything else.
    """
    name = getattr(dataset, "name", "")
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise ValueError(f"{name} is no array")
    if dataset.dtype.kind not in "fiub" and not is_bfloat16(dataset):
        raise ValueError(f"{name} holds {dataset.dtype}, and no real numbers")
    properties = dataset.id.get_create_plist()
    if properties.get_layout() not in (h5d.CONTIGUOUS, h5d.COMPACT):
        raise ValueError(f"{name} is compressed or in chunks, which Keras's files are not; {PLAIN}")
    if properties.get_external_count():
        raise ValueError(f"{name} has its numbers in another file")
    size = math.prod(dataset.shape) * dataset.dtype.itemsize
    if size > min(dataset.id.get_storage_size(), dataset.file.id.get_filesize()):
        raise ValueError(f"{name} of {list(dataset.shape)} is not in the file")


def is_bfloat16(dataset: h5py.Dataset) -> bool:
    """Whether Keras wrote it from bfloat16, which HDF5 does not know."""
    return bool(dataset.dtype == np.dtype("V2") and dataset.attrs.get("dtype") == "bfloat16")


def read_dataset(dataset: h5py.Dataset) -> np.ndarray:
    """Reads a data set that `check_dataset` took; bfloat16 becomes float32.

    Args:
        dataset: The data set.

    Returns:
        The array, in this machine's byte order.
    """
    array = np.asarray(dataset[()])
    if array.dtype.kind == "V":
        return (array.view("<u2").astype("u4") << 16).view("f4")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def read_name(group: h5py.Group) -> str:
    """The attribute `name` of a group.

    Args:
        group: The group.

    Returns:
        The name.

    Raises:
        ValueError: If it is no text, or too long.
    """
    name = group.attrs["name"]
    if not isinstance(name, str) or len(name) > MOST_NAME:
        raise ValueError(f"{group.name} has no name but a {type(name).__name__}")
    return name


def read_names(group: h5py.Group, attribute: str) -> list[str] | None:
    """An attribute of names, which Keras parts where it is long: `attribute0`, `attribute1` ...

    Args:
        group: The group.
        attribute: The attribute.

    Returns:
        The names; `None` where they can't be read safely: of texts of any length there may be one
        long one to which all point.

    Raises:
        ValueError: If they are no texts, or too long.
    """
    parts = [attribute]
    if attribute not in group.attrs:
        parts = []
        while f"{attribute}{len(parts)}" in group.attrs:
            parts.append(f"{attribute}{len(parts)}")
        if not parts:
            raise KeyError(f"{group.name} has no attribute {attribute}")
    texts = [_texts(group, part) for part in parts]
    return None if None in texts else [name for part in texts for name in part or ()]


def _texts(group: h5py.Group, attribute: str) -> list[str] | None:
    opened = h5a.open(group.id, attribute.encode())
    number, kind = math.prod(opened.shape), opened.get_type()
    if number == 0:
        return []
    if not isinstance(kind, h5t.TypeStringID) or number > MOST_OBJECTS:
        raise ValueError(f"the attribute {attribute} of {group.name} holds no names")
    size = group.file.id.get_filesize() if kind.is_variable_str() else kind.get_size()
    if number * size > MOST_NAMES:
        return None
    names = np.ravel(group.attrs[attribute]).tolist()
    texts = [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    if any(len(text) > MOST_NAME for text in texts):
        raise ValueError(f"the attribute {attribute} of {group.name} has a name without an end")
    return texts
