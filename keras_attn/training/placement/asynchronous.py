"""The loop of an asynchronous training: workers step at their own pace on weights of servers.

Keras's `fit` can't do it (keras-team/keras#18624), so here is a loop of its own: the chief hands
out steps with TensorFlow's `ClusterCoordinator`. Runs differ from each other, as workers race.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


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
        network: Network that was made, and compiled with a built optimizer, in the strategy's
            scope.
        batches: Function that makes endless batches `(images, labels)`; it runs on each worker.
        validation_data: Batches `(images, labels)` that the chief evaluates.
        validation_freq: Number of epochs after each of which it does.
        initial_epoch: Number of epochs that are done.
        epochs: Number of epochs that there are to be.
        steps_per_epoch: Number of steps in an epoch.
        verbose: Same as in `Model.fit`.
        callbacks: Same as in `Model.fit`. Their methods for single batches are not called.
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
