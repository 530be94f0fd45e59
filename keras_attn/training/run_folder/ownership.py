"""A run's folder has one owner at a time: a lock that ends with its process, however that ends."""

import contextlib
import errno
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"
# What a file system that has no locks answers.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

_LOG = logging.getLogger(__name__)
_HELD: dict[tuple[int, int], int] = {}  # folder (device, inode) -> the thread that owns it


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Owns a folder for as long as the context lasts.

    The lock is the operating system's, on the file `.lock` in the folder: it ends with the process,
    and doesn't depend on how the folder's path is spelled. The thread that owns a folder may own it
    again, as a training within a fine-tuning does.

    Args:
        folder: Folder to own, which is made if it is not there.

    Raises:
        ValueError: If another process, or another thread, owns it.
        OSError: If the folder can't be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    status = folder.stat()
    key = (status.st_dev, status.st_ino)
    if _HELD.get(key) == threading.get_ident():
        yield
        return
    file = _locked(folder)
    _HELD[key] = threading.get_ident()
    try:
        yield
    finally:
        del _HELD[key]
        if file is not None:  # removed while it is locked: who waits for it looks again
            (folder / LOCK_FILE).unlink(missing_ok=True)
            os.close(file)


def _locked(folder: Path) -> int | None:
    """The descriptor of the lock's file, or `None` where there are no locks."""
    path = folder / LOCK_FILE
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as error:
            raise type(error)(
                error.errno,
                f"`out` must be a folder that can be written ({error.strerror}). Received: "
                f"out={os.fspath(folder)!r}",
            ) from error
        try:
            if fcntl is None:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = _owner(file)
            os.close(file)
            raise ValueError(
                f"`out` must be a folder in which no other training runs: {owner} trains there. "
                f"Wait for it, or give another folder. Received: out={os.fspath(folder)!r}"
            ) from error
        except OSError as error:
            os.close(file)
            if error.errno not in _NO_LOCKS:
                raise
            path.unlink(missing_ok=True)
            _LOG.warning(
                "%s can't be locked (%s): nothing keeps a second training out of it",
                folder, error.strerror,
            )  # fmt: skip
            return None
        if _is(path, file):
            os.ftruncate(file, 0)
            os.write(file, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
            return file
        os.close(file)  # its last owner removed it between the two calls


def _is(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _owner(file: int) -> str:
    """What the owner wrote about itself."""
    try:
        about = json.loads(os.pread(file, 1000, 0))
        pid, host = int(about["pid"]), str(about["host"])
    except (ValueError, KeyError, TypeError, OSError):  # it has just come, or wrote to a full disk
        return "another process"
    if host != socket.gethostname():
        return f"process {pid} on {host}"
    return f"process {pid}" if pid != os.getpid() else f"this process ({pid})"
