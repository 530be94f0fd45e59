"""The replicas of several machines, or processes, that the environment variable TF_CONFIG names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keras_attn.training.placement.cluster import read_cluster, unreachable, wait_for_workers
from keras_attn.training.placement.strategies.mirrored import Mirrored

if TYPE_CHECKING:
    import tensorflow as tf


class Workers(Mirrored):
    """A training by several processes in step. One process alone is a `Mirrored`.

    Args:
        strategy: MultiWorkerMirroredStrategy.
    """

    name = "multi-worker"
    of_one_machine = False

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        super().__init__(strategy)
        self.cluster = read_cluster()
        self.is_chief = self.cluster.is_chief

    @classmethod
    def make_strategy(cls, timeout: float) -> tf.distribute.Strategy:
        """Waits for the other processes; TensorFlow must not have done anything before."""
        wait_for_workers(read_cluster(), timeout)
        import tensorflow as tf

        return tf.distribute.MultiWorkerMirroredStrategy()

    @classmethod
    def start_process(cls, timeout: float) -> tf.distribute.Strategy:
        """Makes the strategy, before TensorFlow reads any data."""
        from keras_attn.training.placement.strategy import get_strategy

        return get_strategy("multi-worker", timeout=timeout)

    @classmethod
    def takes(cls, strategy: tf.distribute.Strategy) -> bool:
        """Whether it is of several processes."""
        import tensorflow as tf

        is_of_workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        return is_of_workers and len(read_cluster().workers) > 1

    def sharding(self) -> tf.data.experimental.AutoShardPolicy:
        """Each process takes its own of the held-out images."""
        import tensorflow as tf

        return tf.data.experimental.AutoShardPolicy.DATA

    def gather(self, value: int) -> list[int]:
        """What each process has for `value`."""
        import tensorflow as tf

        mine = self.strategy.run(lambda: tf.constant([value], tf.int64))
        values = self.strategy.gather(mine, axis=0).numpy()
        return [int(v) for v in values[:: self.replicas // len(self.cluster.workers)]]

    @contextlib.contextmanager
    def explained_failures(self) -> Iterator[None]:
        """Says what it means when TensorFlow reports that another worker is gone."""
        try:
            yield
        except (FloatingPointError, KeyboardInterrupt):
            raise  # of this process's own, and of all others' alike
        except Exception as error:
            missing = unreachable(self.cluster)
            if not missing:
                raise
            raise RuntimeError(
                f"{' and '.join(missing)} stopped, or can't be reached any more. Start all workers "
                "again with the same command: the training goes on after the last whole epoch."
            ) from error


PLACEMENT = Workers
