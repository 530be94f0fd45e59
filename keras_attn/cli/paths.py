"""Paths that a command is given, checked before anything else is done."""

from __future__ import annotations

import os
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
