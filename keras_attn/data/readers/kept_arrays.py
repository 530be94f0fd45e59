"""What is known of large data, kept in the library's cache, so that it is not read again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_attn._staging import cache_folder, written_whole


def load_arrays(kind: str, name: str) -> dict[str, np.ndarray]:
    """The arrays that `save_arrays` kept; none where there are none, or they can't be read."""
    try:
        with np.load(_file(kind, name), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, KeyError):
        return {}


def save_arrays(kind: str, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Keeps arrays under a name; where the folder can't be written, they are not kept.

    Args:
        kind: Folder of the cache that they go to.
        name: Any text.
        arrays: Name -> array.
    """
    try:
        with written_whole(_file(kind, name)) as beside, open(beside, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError:
        return


def _file(kind: str, name: str) -> Path:
    return cache_folder() / kind / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.npz"
