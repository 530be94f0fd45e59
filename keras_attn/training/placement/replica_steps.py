"""The steps of a model on several replicas: executions of them, and sums over the replicas."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_attn.training.placement.replica_optimizer import TakenOver

Logs = dict[str, tf.Tensor]


def train_function(model: keras.Model, taken: TakenOver) -> Callable[[Any], Logs]:
    """What `fit` calls: an execution, of one or more updates.

    Args:
        model: Model that was made and compiled in a strategy's scope.
        taken: Settings of its optimizer that it does in its place.
    """
    accumulated, frequency = taken.accumulation_steps, taken.ema_overwrite_frequency
    updates = model.steps_per_execution // accumulated
    update = _on_each_replica(model, model.train_step)

    # Not in a loop, as in Keras: collective operations can't stand in one. And no update begins
    # before all batches are there: else the end of the data could cut one short.
    @tf.function(reduce_retracing=True)
    def execution(iterator: Any) -> Logs:
        batches = [iterator.get_next() for _ in range(updates * accumulated)]
        logs: Logs = {}
        with tf.control_dependencies(_tensors_of(model.distribute_strategy, batches)):
            for i in range(0, len(batches), accumulated):
                logs = update(batches[i] if accumulated == 1 else batches[i : i + accumulated])
        return logs

    steps = 0

    def train(iterator: Any) -> Logs:
        nonlocal steps
        logs: Logs = execution(iterator)
        steps += model.steps_per_execution
        if frequency and steps % frequency == 0:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        return logs

    return train


def test_function(model: keras.Model) -> Callable[[Any], Logs]:
    """What `evaluate` calls: an execution, of one or more batches.

    Args:
        model: Model that was made and compiled in a strategy's scope.
    """
    evaluate_batch = _on_each_replica(model, model.test_step)

    @tf.function(reduce_retracing=True)
    def one_batch(iterator: Any) -> Logs:
        return evaluate_batch(iterator.get_next())

    def test(iterator: Any) -> Logs:
        logs: Logs = one_batch(iterator)
        for _ in range(model.steps_per_execution - 1):
            try:
                logs = one_batch(iterator)
            except tf.errors.OutOfRangeError:
                break
        return logs

    return test


def _on_each_replica(model: keras.Model, step: Callable[[Any], Logs]) -> Callable[[Any], Logs]:
    """Runs a step on each replica, and takes the mean of its logs over all of them."""
    strategy = model.distribute_strategy

    def run(data: Any) -> Logs:
        logs = strategy.run(step, args=(data,))
        # Keras's own reduces the first axis of scalars where there are several workers.
        return {name: strategy.reduce("MEAN", value, axis=None) for name, value in logs.items()}

    return run


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


def _tensors_of(strategy: tf.distribute.Strategy, values: Any) -> list[tf.Tensor]:
    """All tensors that are on this worker."""
    return [
        tensor
        for value in tf.nest.flatten(values)
        for tensor in strategy.experimental_local_results(value)
    ]
