"""Reading `.safetensors`: a header of JSON, and behind it the numbers, one tensor after another.

Facts of the format: github.com/huggingface/safetensors, README.md. Its own reader for NumPy knows
no bfloat16, and takes all of a file into memory.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.weights.formats.reading import (
    MOST_JSON,
    MOST_NAME,
    MOST_TENSORS,
    read_json,
    reading,
)
from keras_attn.weights.formats.stored_tensor import StoredTensor, widened

DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<f4",  # as it is read
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


def describe_safetensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a `.safetensors` file, still in it.

    Args:
        path: The file.

    Returns:
        Name -> tensor, in the order of their numbers.

    Raises:
        ValueError: If the file is damaged, or has a name twice.
    """
    with reading(path, "is no readable safetensors file"):
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(size - 8, MOST_JSON):
                raise ValueError(
                    f"its header has {length} bytes, more than the file or {MOST_JSON}"
                )
            header = read_json(file.read(length))
        start, tensors, end = 8 + length, {}, 0
        header.pop("__metadata__", None)
        if len(header) > MOST_TENSORS:
            raise ValueError(f"it has {len(header)} tensors, more than {MOST_TENSORS}")
        for name, entry in sorted(header.items(), key=_first_byte):
            shape, width = tuple(entry["shape"]), _width(entry["dtype"])
            begin, stop = entry["data_offsets"]
            # Each begins where the one before ends: none shares its numbers with another.
            if len(name) > MOST_NAME or not all(type(n) is int and n >= 0 for n in (*shape, stop)):
                raise ValueError(f"its entry {name[:MOST_NAME]!r} is none of a tensor")
            if begin != end or len(shape) > 32 or stop - begin != math.prod(shape) * width:
                raise ValueError(f"its entry {name!r} has other bytes than its shape says")
            end = stop
            read = partial(_read, path, start + begin, stop - begin, entry["dtype"], shape)
            tensors[name] = StoredTensor(shape, np.dtype(DTYPES[entry["dtype"]]), read)
        if end != size - start:
            raise ValueError(f"its tensors have {end} bytes, and the file {size - start}")
        return tensors


def _first_byte(item: tuple[str, Any]) -> int:
    return int(item[1]["data_offsets"][0])


def _width(dtype: str) -> int:
    if dtype not in DTYPES:
        raise ValueError(f"it has numbers of an unknown kind, {str(dtype)[:MOST_NAME]}")
    return 2 if dtype == "BF16" else np.dtype(DTYPES[dtype]).itemsize


def _read(path: Path, offset: int, size: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    with reading(path, "is no readable safetensors file"), path.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
        flat = widened(data) if dtype == "BF16" else np.frombuffer(data, DTYPES[dtype])
        return flat.reshape(shape)
