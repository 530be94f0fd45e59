"""Memory goes back to the system after a large request: the allocator keeps it otherwise."""

import ctypes
import pathlib
import resource
import threading
from collections.abc import Callable

SECONDS = 1.0
GROWTH_BYTES = 64 * 2**20
_STATM = pathlib.Path("/proc/self/statm")


class MemoryTrimmer:
    """A thread that returns freed memory whenever the process has grown.

    glibc keeps what a request has freed, for the next one: after one large image a server stays
    as large as it was while it decoded. Elsewhere than on Linux with glibc this does nothing.
    It looks from `__enter__` to `__exit__`.
    """

    def __init__(self) -> None:
        self._trim = _malloc_trim()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "MemoryTrimmer":
        if self._trim is not None:
            self._thread = threading.Thread(
                target=self._run, args=(self._trim,), name="memory-trimmer", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, trim: Callable[[int], int]) -> None:
        after = resident_bytes()
        while not self._stopping.wait(SECONDS):
            if resident_bytes() > after + GROWTH_BYTES:
                trim(0)
                after = resident_bytes()
            else:
                after = min(after, resident_bytes())


def resident_bytes() -> int:
    """What the process has in memory."""
    return int(_STATM.read_text().split()[1]) * resource.getpagesize()


def _malloc_trim() -> Callable[[int], int] | None:
    try:
        function = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return function if _STATM.exists() else None
