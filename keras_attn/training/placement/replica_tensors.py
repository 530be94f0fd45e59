"""Small sums over the images and the gradients of a replica."""

from typing import Any

import tensorflow as tf


def share_of(x: Any, context: tf.distribute.ReplicaContext) -> tf.Tensor:
    """This replica's share of the images, times the number of replicas: 1 where all are equal."""
    first = tf.nest.flatten(x)[0]
    if first.shape[0] is not None:
        return tf.constant(1.0)
    count = tf.cast(tf.shape(first)[0], tf.float32)
    replicas = context.num_replicas_in_sync
    check = tf.debugging.assert_positive(
        count,
        f"A batch left one of the {replicas} replicas without an image, which BatchNormalization "
        "turns into NaN. Drop the last batch: `dataset.batch(..., drop_remainder=True)`",
    )
    with tf.control_dependencies([check]):
        return count * replicas / context.all_reduce(tf.distribute.ReduceOp.SUM, count)


def count_of(x: Any) -> tf.Tensor:
    """How many images a batch has."""
    return tf.shape(tf.nest.flatten(x)[0])[0]


def added(a: tf.Tensor | None, b: tf.Tensor | None) -> tf.Tensor | None:
    """The sum of two gradients, either of which may be none."""
    return b if a is None else a if b is None else a + b


def divided(gradient: tf.Tensor | None, number: int) -> tf.Tensor | None:
    """A gradient, if there is one, over a number."""
    return gradient if gradient is None or number == 1 else gradient / number


def tensors_of(strategy: tf.distribute.Strategy, values: Any) -> list[tf.Tensor]:
    """All tensors that are on this worker."""
    return [
        tensor
        for value in tf.nest.flatten(values)
        for tensor in strategy.experimental_local_results(value)
    ]
