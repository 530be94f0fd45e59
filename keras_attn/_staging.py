"""Files and folders that are written beside their place, and moved into it when they are whole.

Each process locks the hidden folder that it writes in. The lock goes when the process does, however
it ends, and by that the next one knows the left-overs of those that were killed, and clears them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

PREFIX = ".keras_attn-"
LOCK = f"{PREFIX}lock"


@contextlib.contextmanager
def staging(place: str | os.PathLike[str]) -> Iterator[Path]:
    """A hidden folder for what will be moved to `place`, on its disk; gone afterwards.

    Left-overs beside it are cleared first. On a failure, the folders that had to be made for
    `place` are removed, too, unless something is in them.

    Args:
        place: Path that will be written; its folder is made where it is missing.

    Yields:
        The folder.

    Raises:
        OSError: If it can't be written; the message names `place` where the system's names nothing.
    """
    place = Path(place)
    made = [folder for folder in place.parents if not folder.exists()]
    try:
        work, lock = _locked_folder(place.parent)
        try:
            clear_left_overs(place.parent)
            yield work
        finally:
            os.close(lock)
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        if error.filename is None and error.errno is not None:  # as when a disk is full
            raise OSError(error.errno, error.strerror, os.fspath(place)) from error
        raise
    finally:
        for folder in made:
            try:
                folder.rmdir()
            except OSError:  # something is in it, or another process was faster
                break


@contextlib.contextmanager
def written_whole(place: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives another path to write a file to, and moves it to `place` at the end.

    Args:
        place: The file. Where it is a link, the file that it leads to is replaced; what is no
            file, as `/dev/stdout`, is written to.

    Yields:
        A path of the same name, in a folder of its own.
    """
    place = Path(os.path.realpath(place))
    if place.exists() and not place.is_file():
        yield place
        return
    with staging(place) as work:
        yield work / place.name
        os.replace(work / place.name, place)


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """A new folder, and its lock as a file descriptor."""
    while True:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(dir=parent, prefix=PREFIX))
        except FileNotFoundError:  # a process that had made the parent has failed and removed it
            continue
        try:
            lock = os.open(work / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # taken for a left-over before it had its lock
            continue
        _lock(lock, wait=True)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(work / LOCK), os.fstat(lock)):
                return work, lock
        os.close(lock)  # the same, a moment later


def clear_left_overs(parent: Path) -> None:
    """Removes the hidden folders in `parent` whose process is gone."""
    if not parent.is_dir():
        return
    with os.scandir(parent) as entries:
        found = [
            entry.path
            for entry in entries
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False)
        ]
    for folder in found:
        try:
            lock = os.open(os.path.join(folder, LOCK), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:  # another user's, or gone by now
            continue
        try:
            if _lock(lock, wait=False):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _lock(file: int, *, wait: bool) -> bool:
    """Whether the lock was taken; never where the file system or Windows has none of this kind."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def cache_folder() -> Path:
    """The folder of what can be had again: `KERAS_ATTN_CACHE`, else `~/.cache/keras_attn`."""
    return Path(os.environ.get("KERAS_ATTN_CACHE") or Path.home() / ".cache" / "keras_attn")
