"""A thread that looks again and again."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Poller:
    """Calls a function every so many seconds, from `__enter__` to `__exit__`.

    Args:
        name: Name of the thread, and of the function in the log.
        seconds: Pause before each call.
        function: Function that is called. What it raises is logged, and the thread goes on.
    """

    def __init__(self, name: str, seconds: float, function: Callable[[], object]):
        self._name = name
        self._seconds = seconds
        self._function = function
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Poller":
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drain()
        if self._thread is not None:
            self._thread.join()

    def drain(self) -> None:
        """Begins no further call, and does not wait for one that is under way."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._function()
            except Exception:
                logger.exception("%s failed; it goes on", self._name)
