"""Signals that end a process, noted instead of obeyed at once."""

import contextlib
import queue
import signal
from types import FrameType


class Signals:
    """A context manager within which signals are only noted. Python's main thread alone may.

    Args:
        signums: Signals that are noted.

    Attributes:
        received: The numbers of those that came.
    """

    def __init__(self, *signums: signal.Signals):
        self.received: list[int] = []
        self._came: queue.SimpleQueue[int] = queue.SimpleQueue()  # may be put to by a handler
        self._signums = signums

    def __enter__(self) -> "Signals":
        self._before = [signal.signal(signum, self._note) for signum in self._signums]
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in zip(self._signums, self._before, strict=True):
            signal.signal(signum, handler)

    def wait(self, seconds: float | None = None) -> bool:
        """Returns whether one has come: as soon as it has, or False after `seconds`."""
        if not self.received:
            with contextlib.suppress(queue.Empty):
                self._came.get(timeout=seconds)
        return bool(self.received)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.received.append(signum)
        self._came.put(signum)
