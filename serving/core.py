"""What REST and gRPC share: a request goes to a model, and is timed and counted."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager

from keras_attn.serving.errors import ServingError
from keras_attn.serving.lifecycle.manager import ModelManager, Target
from keras_attn.serving.metrics import Metrics
from keras_attn.serving.models.served_model import ServedModel


@dataclasses.dataclass
class Core:
    """The models and the numbers of a server.

    Args:
        manager: The models.
        metrics: Numbers that are counted.
        max_body_bytes: The most of a request, and of one of its tensors.
        tensor_content: Whether the tensors of gRPC's replies go into `tensor_content`.
        reload_config: Whether a gRPC caller may change which models are served.
        one_of_many: Whether other processes serve the same, who would not hear of a change.
    """

    manager: ModelManager
    metrics: Metrics
    max_body_bytes: int
    tensor_content: bool = False
    reload_config: bool = True
    one_of_many: bool = False

    @contextmanager
    def request(self, name: str, *, api: str, entrypoint: str) -> Iterator[None]:
        """Notes a request: its status, and its latency where it has an answer."""
        # Names that clients make up would each be a new line of the metrics, for ever.
        name = name if self.manager.knows(name) else ""
        start = time.perf_counter()
        try:
            yield
        except ServingError as error:
            self.metrics.count(name, error.code.name)
            raise
        except Exception:
            self.metrics.count(name, "INTERNAL")
            raise
        microseconds = (time.perf_counter() - start) * 1e6
        self.metrics.request_latency.labels(name, api, entrypoint).observe(microseconds)
        self.metrics.count(name, "OK")

    @contextmanager
    def model(self, target: Target, *, api: str) -> Iterator[ServedModel]:
        """The model of a request, and how long it runs."""
        with self.manager.use(target) as model, self.metrics.runtime(model.name, api):
            yield model
