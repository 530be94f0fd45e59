"""Paths that a command is given, checked before anything else is done."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path


def check_out_folder(path: str, name: str = "out") -> None:
    """Raises an error unless `path` is a folder, or can become one."""
    here = Path(path).absolute()
    while not os.path.lexists(here):
        here = here.parent
    if not here.is_dir():
        raise NotADirectoryError(
            f"`{name}` must be in a folder, or be one, or not be there yet. "
            f"Received: {name}={path!r}; {here} is a file"
        )
    if not os.access(here, os.W_OK):
        raise PermissionError(
            f"`{name}` must be writable. Received: {name}={path!r}; {here} is not"
        )


def check_file(name: str, path: str) -> None:
    """Raises an error unless `path` is a file."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"`{name}` must be a file. Received: {name}={path!r}, a folder")
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"`{name}` must be a file. Received: {name}={path!r}, which is not there"
        )


def find_images(name: str, given: Sequence[str]) -> list[str]:
    """The image files that are meant by files, folders and patterns, each once.

    Raises:
        FileNotFoundError: If a file is not there, or a folder or a pattern has none.
    """
    from keras_attn.images import image_files

    found: dict[str, None] = {}
    for path in given:
        if os.path.isdir(path):
            files = [str(file) for file in image_files(path)]
        elif not os.path.exists(path) and glob.has_magic(path):
            files = sorted(file for file in glob.glob(path, recursive=True) if os.path.isfile(file))
        else:
            check_file(name, path)
            files = [path]
        if not files:
            raise FileNotFoundError(
                f"`{name}` must be an image file, a folder with some, or a pattern that some have. "
                f"Received: {name}={path!r}, which has none"
            )
        found |= dict.fromkeys(files)
    return list(found)


def check_new_file(name: str, path: str, *, overwrite: bool, suffix: str = "") -> None:
    """Raises an error unless a file can be written there, with that suffix.

    What is there stays, unless `overwrite` says otherwise.
    """
    if suffix and Path(path).suffix != suffix:
        raise ValueError(f"`{name}` must end in {suffix!r}. Received: {name}={path!r}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"`{name}` must be a file. Received: {name}={path!r}, a folder")
    check_out_folder(os.path.dirname(path) or ".", name)
    if os.path.lexists(path) and not overwrite:
        raise FileExistsError(
            f"`{name}` is there already; `overwrite=True` replaces it. Received: {name}={path!r}"
        )
