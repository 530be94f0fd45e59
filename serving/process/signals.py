"""Signals that end a process, noted instead of obeyed at once."""

import signal
from types import FrameType


class Signals:
    """A context manager within which signals are only noted. Python's main thread alone may.

    Args:
        signums: The signals.

    Attributes:
        received: The numbers of those that came.
    """

    def __init__(self, *signums: signal.Signals):
        self.received: list[int] = []
        self._signums = signums

    def __enter__(self) -> "Signals":
        self._before = [signal.signal(signum, self._note) for signum in self._signums]
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in zip(self._signums, self._before, strict=True):
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.received.append(signum)
