"""A version folder -> a model that is loaded, batched and warm."""

import logging
import pathlib

from keras_attn.serving.batching.scheduler import BatchScheduler
from keras_attn.serving.metrics import Metrics
from keras_attn.serving.models.served_model import ServedModel
from keras_attn.serving.models.warmup import warm_up
from keras_attn.serving.options import ServerOptions, read_batching_options

BATCHING_FILE = "batching_params.pbtxt"

logger = logging.getLogger(__name__)


class Loader:
    """Loads versions by a server's options.

    Args:
        options: The server's.
        metrics: Its numbers.
    """

    def __init__(self, options: ServerOptions, metrics: Metrics):
        self._options = options
        self._metrics = metrics
        self.scheduler = (
            None if options.batching is None else BatchScheduler(options.batching, metrics=metrics)
        )

    def __call__(self, folder: pathlib.Path, *, name: str, version: int) -> ServedModel:
        """Loads and warms one; what is wrong with it raises ValueError or ServingError."""
        model = ServedModel(
            folder,
            name=name,
            version=version,
            max_pixels=self._options.max_pixels,
            tags=self._options.saved_model_tags.split(","),
            wrap_run=self._batching(folder),
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
            except BaseException:
                model.close()
                raise
            logger.info("%s: %d warm-up records", folder, count)
        return model

    def _batching(self, folder: pathlib.Path):
        if self.scheduler is None:
            return None
        if not self._options.enable_per_model_batching_parameters:
            return self.scheduler.wrap
        if not (folder / BATCHING_FILE).exists():
            return None
        options = read_batching_options(folder / BATCHING_FILE)
        return lambda run: self.scheduler.wrap(run, options)
