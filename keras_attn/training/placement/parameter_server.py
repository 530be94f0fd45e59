"""Asynchronous training: workers take steps at their own pace on weights that servers keep.

Keras's `fit` can't do it (keras-team/keras#18624), so here is a loop of its own: the chief hands
out steps with TensorFlow's `ClusterCoordinator`. Runs differ from each other, as workers race.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_attn.training.placement.cluster import answers

PATIENCE = 30.0  # seconds for which a chief may be away before its servers stop


def make_parameter_server_strategy() -> tf.distribute.Strategy:
    """The strategy of the chief that TF_CONFIG names.

    Raises:
        ValueError: If this process is not its chief, or there is no `ps` or no `worker`.
    """
    resolver = _resolver()
    if resolver.task_type != "chief":
        raise ValueError(
            "`TF_CONFIG` must name this process the chief: the others run "
            f"`serve_task`. Received: task type {resolver.task_type!r}"
        )
    return tf.distribute.ParameterServerStrategy(resolver)


def is_server() -> bool:
    """Whether TF_CONFIG makes this process a worker or a parameter server."""
    return _resolver().task_type in ("worker", "ps")


def serve_task() -> None:
    """Serves the chief as the worker or parameter server that TF_CONFIG names, until it is gone."""
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
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    jobs = set(resolver.cluster_spec().jobs)
    if not {"chief", "worker", "ps"} <= jobs:
        raise ValueError(
            "`TF_CONFIG` must have a chief, a worker and a ps at least. "
            f"Received: {', '.join(sorted(jobs)) or 'no cluster'}"
        )
    return resolver


def fit_asynchronously(
    network: keras.Model,
    batches: Callable[[], tf.data.Dataset],
    *,
    validation_data: tf.data.Dataset,
    validation_freq: int,
    initial_epoch: int,
    epochs: int,
    steps_per_epoch: int,
    verbose: int,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains a compiled network whose weights are on parameter servers.

    An epoch is so many steps, whichever worker takes them. Each worker draws from the same
    shuffled passes, from a place of its own: no image is in an epoch for sure.

    Args:
        network: Made, compiled with an optimizer that is built, in the strategy's scope.
        batches: Makes endless batches `(images, labels)`; runs on each worker.
        validation_data: Batches `(images, labels)` that the chief evaluates.
        validation_freq: After how many epochs.
        initial_epoch: How many are done.
        epochs: How many there are to be.
        steps_per_epoch: Steps in one.
        verbose: As `fit`'s.
        callbacks: As `fit`'s. Those for single batches are not called.
    """
    strategy = network.distribute_strategy
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    loss_of = keras.losses.get("categorical_crossentropy")

    def on_worker() -> tf.data.Dataset:
        place = tf.raw_ops.NonDeterministicInts(shape=[1], dtype=tf.int64)[0]
        return batches().skip(tf.math.floormod(place, 4 * steps_per_epoch))

    @tf.function
    def step(iterator: Any) -> tuple[tf.Tensor, tf.Tensor]:
        def replica(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                probabilities = network(images, training=True)
                loss = tf.reduce_mean(loss_of(labels, probabilities)) + sum(network.losses)
            weights = network.trainable_weights
            gradients = tape.gradient(loss, [weight.value for weight in weights])
            network.optimizer.apply(gradients, weights)
            right = tf.equal(tf.argmax(probabilities, -1), tf.argmax(labels, -1))
            return loss, tf.reduce_mean(tf.cast(right, tf.float32))

        logs = strategy.run(replica, args=next(iterator))
        return tuple(strategy.reduce("MEAN", value, axis=None) for value in logs)

    iterator = iter(coordinator.create_per_worker_dataset(on_worker))
    watching = keras.callbacks.CallbackList(
        list(callbacks), add_progbar=verbose != 0, verbose=verbose, epochs=epochs,
        steps=steps_per_epoch, model=network,
    )  # fmt: skip
    watching.on_train_begin()
    for epoch in range(initial_epoch, epochs):
        watching.on_epoch_begin(epoch)
        done = [coordinator.schedule(step, args=(iterator,)) for _ in range(steps_per_epoch)]
        coordinator.join()
        loss, accuracy = np.mean(coordinator.fetch(done), axis=0)
        logs = {"accuracy": float(accuracy), "loss": float(loss)}
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"The loss became {loss} in epoch {epoch + 1}. What was written before stays as "
                "it was. A lower `learning_rate` or a longer `warmup` may help."
            )
        if (epoch + 1) % validation_freq == 0:
            found = evaluate_here(network, validation_data)
            logs |= {f"val_{name}": value for name, value in found.items()}
        watching.on_epoch_end(epoch, logs)
    watching.on_train_end()


def evaluate_here(network: keras.Model, data: tf.data.Dataset) -> dict[str, float]:
    """The loss, as Keras computes it, and the accuracy on batches, computed by the chief."""
    loss_of = keras.losses.get("categorical_crossentropy")

    # Within one function, as in Keras: from the tensor alone the loss finds the logits.
    @tf.function(reduce_retracing=True)
    def sums(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        probabilities = network(images, training=False)
        right = tf.equal(tf.argmax(probabilities, -1), tf.argmax(labels, -1))
        return tf.reduce_sum(loss_of(labels, probabilities)), tf.math.count_nonzero(right)

    size, loss, right = 0, 0.0, 0
    for images, labels in data:
        batch_loss, batch_right = sums(images, labels)
        size, loss, right = size + len(images), loss + float(batch_loss), right + int(batch_right)
    added = sum(float(each) for each in network.losses)
    return {"loss": loss / size + added, "accuracy": right / size}
