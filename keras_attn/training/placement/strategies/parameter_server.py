"""Workers that don't wait for each other, on weights that parameter servers keep.

The processes are those of a TF_CONFIG with a `chief`, `worker` and `ps` tasks. The chief trains;
the others serve it until it is gone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import keras

from keras_attn.data.augment import KERAS_LAYERS
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.placement.cluster import answers
from keras_attn.training.placement.strategies.one_device import OneDevice

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_attn.training.config import TrainingConfig

PATIENCE = 30.0  # seconds for which a chief may be away before its servers stop
SYNCHRONOUS = (  # options that must be at their defaults
    "ema",
    "accumulation_steps",
    "steps_per_execution",
    "synchronized",
    "deterministic",
    "keep_best",
    "profile",
    "learning_rate_factors",
    "weight_decay_factors",
)


class ParameterServers(OneDevice):
    """A training by workers that race.

    Args:
        strategy: ParameterServerStrategy.
    """

    name = "parameter-server"
    of_one_machine = False

    @classmethod
    def make_strategy(cls, timeout: float) -> tf.distribute.Strategy:
        """The strategy of the chief that TF_CONFIG names.

        Raises:
            ValueError: If this process is not its chief, or there is no `ps` or no `worker`.
        """
        import tensorflow as tf

        resolver = _resolver()
        if resolver.task_type != "chief":
            raise ValueError(
                "`TF_CONFIG` must name this process the chief: the others run "
                f"`serve_task`. Received: task type {resolver.task_type!r}"
            )
        return tf.distribute.ParameterServerStrategy(resolver)

    @classmethod
    def start_process(cls, timeout: float) -> tf.distribute.Strategy | None:
        """Makes the chief's strategy; a worker or a server serves the chief until it is gone."""
        if is_server():
            serve_task()
            return None
        from keras_attn.training.placement.strategy import get_strategy

        return get_strategy("parameter-server")

    @classmethod
    def takes(cls, strategy: tf.distribute.Strategy) -> bool:
        """Whether servers keep the weights."""
        import tensorflow as tf

        return isinstance(strategy, tf.distribute.ParameterServerStrategy)

    def check(self, config: TrainingConfig) -> None:
        """Raises a ValueError for what workers that race can't do."""
        super().check(config)
        check_asynchronous(config)

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The strategy's."""
        scope: AbstractContextManager[Any] = self.strategy.scope()
        return scope

    def training_batches(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        steps_per_epoch: int,
        start_epoch: int,
        **options: Any,
    ) -> Any:
        """A function that makes endless batches, on each worker."""
        from keras_attn.data.batches.tensorflow_pipeline import training_batches

        return lambda: training_batches(dataset, batch_size, **options)

    def fit(
        self, model: keras.Model, batches: Any, *, augment: Sequence[str], **options: Any
    ) -> None:
        """Trains a model by a loop of our own."""
        from keras_attn.training.placement.asynchronous import fit_asynchronously

        fit_asynchronously(model, batches, **options)

    def evaluate(
        self, model: keras.Model, dataset: ImageDataset, batch_size: int
    ) -> dict[str, float]:
        """The loss and the accuracy on the held-out images, computed by the chief."""
        from keras_attn.training.placement.asynchronous import evaluate_here

        return evaluate_here(model, self.validation_batches(dataset, batch_size))


PLACEMENT = ParameterServers


def check_asynchronous(config: TrainingConfig) -> None:
    """Raises a ValueError for the first option that needs workers that wait for each other."""
    defaults = type(config)(epochs=1)
    for name in SYNCHRONOUS:
        value, allowed = getattr(config, name), getattr(defaults, name)
        if value != allowed:
            raise ValueError(
                f"`{name}` must be {allowed} with parameter servers, whose workers don't wait for "
                f"each other. Received: {name}={value!r}"
            )
    if set(config.augment) & set(KERAS_LAYERS):
        raise ValueError(
            f"`augment` must be without {', '.join(KERAS_LAYERS)} with parameter servers: layers "
            f"of Keras can't be made where a worker's batches are. Received: "
            f"augment={config.augment!r}"
        )
    if config.mixed_precision == "float16":
        raise ValueError(
            "`mixed_precision` must be 'bfloat16' or None with parameter servers: there is no loss "
            "scaling for them. Received: mixed_precision='float16'"
        )


def is_server() -> bool:
    """Whether TF_CONFIG makes this process a worker or a parameter server."""
    return _resolver().task_type in ("worker", "ps")


def serve_task() -> None:
    """Serves the chief as the worker or parameter server that TF_CONFIG names, until it is gone."""
    import tensorflow as tf

    resolver = _resolver()
    cluster = resolver.cluster_spec()
    tf.distribute.Server(
        cluster, job_name=resolver.task_type, task_index=resolver.task_id, protocol="grpc"
    )
    [chief] = cluster.job_tasks("chief")
    seen, last = False, time.monotonic()
    while True:
        if answers(chief):
            seen, last = True, time.monotonic()
        elif seen and time.monotonic() - last > PATIENCE:
            return
        time.sleep(1.0)


def _resolver() -> Any:
    import tensorflow as tf

    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    jobs = set(resolver.cluster_spec().jobs)
    if not {"chief", "worker", "ps"} <= jobs:
        raise ValueError(
            "`TF_CONFIG` must have a chief, a worker and a ps at least. "
            f"Received: {', '.join(sorted(jobs)) or 'no cluster'}"
        )
    return resolver
