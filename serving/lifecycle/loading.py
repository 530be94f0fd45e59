"""A version folder -> a model that is loaded, batched and warm."""

import contextlib
import logging
import pathlib
from collections.abc import Callable

from keras_attn.serving.batching.options import BatchingOptions, read_batching_options
from keras_attn.serving.batching.scheduler import BatchScheduler
from keras_attn.serving.metrics import Metrics
from keras_attn.serving.models.batch_sizes import NotedRuns, warm_sizes
from keras_attn.serving.models.served_model import Run, ServedModel
from keras_attn.serving.models.warmup import warm_up
from keras_attn.serving.options import ServerOptions

BATCHING_FILE = "batching_params.pbtxt"

logger = logging.getLogger(__name__)


class Loader:
    """Loads versions by a server's options; the threads of batching run within its `with`.

    Args:
        options: Options of the server.
        metrics: Numbers of the server.
    """

    def __init__(self, options: ServerOptions, metrics: Metrics):
        self._options = options
        self._metrics = metrics
        self._scheduler = (
            None if options.batching is None else BatchScheduler(options.batching, metrics=metrics)
        )
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Loader":
        if self._scheduler is not None:
            self._stack.enter_context(self._scheduler)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, folder: pathlib.Path, *, name: str, version: int) -> ServedModel:
        """Loads and warms one; what is wrong with it raises ValueError or ServingError."""
        noted = NotedRuns()
        batching = self._batching(folder)
        model = ServedModel(
            folder,
            name=name,
            version=version,
            max_pixels=self._options.max_pixels,
            tags=self._options.saved_model_tags.split(","),
            wrap_run=self._queue(noted, batching),
        )
        if model.session.needs_xla:
            logger.warning(
                "%s has %d functions that must be compiled by XLA (%s): a tensorflow_model_server, "
                "which has XLA off, answers INTERNAL where they run",
                folder,
                len(model.session.needs_xla),
                model.session.needs_xla[0],
            )
        if self._options.enable_model_warmup:
            try:
                count = warm_up(
                    model,
                    metrics=self._metrics,
                    iterations=self._options.num_request_iterations_for_warmup,
                    max_bytes=self._options.max_body_bytes,
                )
                runs = noted.take()
                further = 0 if batching is None else warm_sizes(model, runs, batching.run_sizes)
            except BaseException:
                model.close()
                raise
            logger.info("%s: %d warm-up records", folder, count)
            if further:
                logger.info("%s: %d further runs, for the sizes of batches", folder, further)
        noted.take()
        return model

    def _batching(self, folder: pathlib.Path) -> BatchingOptions | None:
        """How requests of a version are gathered; None where each is run alone."""
        if not self._options.enable_per_model_batching_parameters:
            return self._options.batching
        if not (folder / BATCHING_FILE).exists():
            return None
        return read_batching_options(folder / BATCHING_FILE)

    def _queue(
        self, noted: NotedRuns, batching: BatchingOptions | None
    ) -> Callable[[Run], Run] | None:
        scheduler = self._scheduler
        if scheduler is None or batching is None:
            return None
        return lambda run: scheduler.wrap(noted.wrap(run), batching)
