"""Paths that a command is given, checked before anything else is done."""

from __future__ import annotations

import os
from pathlib import Path


def check_out_folder(path: str) -> None:
    """Raises an error unless `path` is a folder, or can become one."""
    here = Path(path).absolute()
    while not os.path.lexists(here):
        here = here.parent
    if not here.is_dir():
        raise NotADirectoryError(
            f"`out` must be a folder, or not be there yet. Received: out={path!r}; {here} is a file"
        )
    if not os.access(here, os.W_OK):
        raise PermissionError(f"`out` must be writable. Received: out={path!r}; {here} is not")


def check_file(name: str, path: str) -> None:
    """Raises an error unless `path` is a file."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"`{name}` must be a file. Received: {name}={path!r}, a folder")
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"`{name}` must be a file. Received: {name}={path!r}, which is not there"
        )


def check_new_file(name: str, path: str, suffix: str = "") -> None:
    """Raises an error unless a file can be written there, with that suffix."""
    if suffix and Path(path).suffix != suffix:
        raise ValueError(f"`{name}` must end in {suffix!r}. Received: {name}={path!r}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"`{name}` must be a file. Received: {name}={path!r}, a folder")
