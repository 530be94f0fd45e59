"""The life of one version: START, LOADING, AVAILABLE, UNLOADING, END."""

import enum
import logging
import pathlib
import threading
import time
from collections.abc import Callable

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.lifecycle.version_policy import fingerprint
from keras_attn.serving.models.served_model import ServedModel

logger = logging.getLogger(__name__)


class State(enum.IntEnum):
    """The states of TF Serving's ModelVersionStatus, by their numbers."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


class Servable:
    """One version of a model from its folder to its end; threads hold it while they use it.

    Args:
        name: Name of the model.
        version: Number of the version.
        folder: Folder of the version.

    Attributes:
        state: Stage of its life.
        error: The reason why it could not be loaded.
    """

    def __init__(self, name: str, version: int, folder: pathlib.Path):
        self.name = name
        self.version = version
        self.folder = folder
        self.state = State.START
        self.error: ServingError | None = None
        self._model: ServedModel | None = None
        self._uses = 0
        self._lock = threading.Lock()
        self._tries = 0
        self._tried_at = 0.0
        self._tried: object = None

    def load(self, loader: Callable[[pathlib.Path], ServedModel]) -> bool:
        """Loads it. A failure becomes its `error`, is logged, and leaves the state END."""
        self.state, self.error = State.LOADING, None
        self._tries += 1
        self._tried_at = time.monotonic()
        try:
            self._tried = fingerprint(self.folder)
            model = loader(self.folder)
        except ServingError as error:
            self._fail(error)
        except Exception as error:  # a bug in one model must not end the others
            code = Code.INVALID_ARGUMENT if isinstance(error, ValueError) else Code.UNKNOWN
            self._fail(ServingError(code, str(error) or type(error).__name__))
        else:
            with self._lock:
                self._model = model
                self.state = State.AVAILABLE
            logger.info("version %d of %s is loaded, from %s", self.version, self.name, self.folder)
        return self.state == State.AVAILABLE

    def may_retry(self, *, max_retries: int, interval: float) -> bool:
        """Whether a failed load should be tried again: at a change of the folder, and some times.

        Args:
            max_retries: How often after the first failure.
            interval: Seconds between.
        """
        if self.state != State.END:
            return self.state == State.START
        if fingerprint(self.folder) != self._tried:
            self._tries = 0
            return True
        return self._tries <= max_retries and time.monotonic() >= self._tried_at + interval

    def acquire(self) -> ServedModel | None:
        """Returns the model, which then stays loaded until `release`; None where it is not."""
        with self._lock:
            if self.state != State.AVAILABLE:
                return None
            self._uses += 1
            return self._model

    def release(self) -> None:
        """Ends what `acquire` began."""
        with self._lock:
            self._uses -= 1
            last = self._uses == 0 and self.state == State.UNLOADING
        if last:
            self._close()

    def retire(self) -> None:
        """Takes no more requests; its memory goes with the last one that is under way."""
        with self._lock:
            if self.state != State.AVAILABLE:
                return
            self.state = State.UNLOADING
            idle = self._uses == 0
        if idle:
            self._close()

    def _close(self) -> None:
        model, self._model = self._model, None
        if model is not None:
            model.close()
        self.state = State.END
        logger.info("version %d of %s is unloaded", self.version, self.name)

    def _fail(self, error: ServingError) -> None:
        self.error = error
        self.state = State.END
        logger.error("version %d of %s can't be loaded: %s", self.version, self.name, error.message)
