"""The replicas of the TPU that TensorFlow finds. It has not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_attn.training.placement.strategies.mirrored import Mirrored

if TYPE_CHECKING:
    import tensorflow as tf


class Tpu(Mirrored):
    """A training on a TPU: as on any other replicas."""

    name = "tpu"

    @classmethod
    def make_strategy(cls, timeout: float) -> tf.distribute.Strategy:
        """TPUStrategy, or a RuntimeError where there is no TPU."""
        import tensorflow as tf

        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
        except Exception as error:
            raise RuntimeError(f"TensorFlow finds no TPU: {error}") from error
        return tf.distribute.TPUStrategy(resolver)


PLACEMENT = Tpu
