"""A Keras model whose `fit` is right on several replicas and across several workers.

Keras 3.15's own is not: what it gets wrong under tf.distribute, and what is done here instead, is
said at each place below.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import keras
import tensorflow as tf

from keras_attn.training.checks import has_own_loss
from keras_attn.training.placement.replica_optimizer import TakenOver, take_over
from keras_attn.training.placement.replica_state import merge_statistics
from keras_attn.training.placement.replica_steps import (
    Logs,
    added,
    count_of,
    divided,
    share_of,
    test_function,
    train_function,
)


class DistributedModel(keras.Model):
    """The same network, trained by replicas as one device would train it on the whole batch.

    Make it in a strategy's scope, from a network made there; `compile`, `fit`, `evaluate` and
    `predict` it as any model. It shares the network's weights: save the network. With one replica
    Keras is right by itself, and this does nothing but Keras's work.

    Where it differs from `keras.Model` under several replicas:

    - Each image has the same weight, also where the last batch gives replicas shares of different
      sizes. For training, each replica must get at least one image.
    - `clipnorm`, `global_clipnorm` and `clipvalue` clip the gradient of the whole batch.
    - float16: an overflow on any replica skips the step on all, and halves the loss scale.
    - `gradient_accumulation_steps`, `ema_overwrite_frequency` and `steps_per_execution` work. The
      batches of one update are drawn in one step, so steps are counted in multiples of them.
    - Dropout and the like draw differently on each replica, see `decorrelate`.
    - `evaluate` and `predict` have the same statistics of BatchNormalization on all replicas, see
      `merge_statistics`: those with which the network is saved.
    - `fit` works with `MultiWorkerMirroredStrategy`.

    `compile` takes the optimizer over: the settings above are read from it and then changed to
    what a replica's optimizer needs.

    Args:
        network: Functional model that was made in the scope of the strategy.

    Raises:
        ValueError: If `network` is not a functional model, or was made outside the scope.

    Example:
        >>> strategy = tf.distribute.MirroredStrategy()
        >>> with strategy.scope():
        ...     network = CIFARResNet(8, attention="se")
        ...     model = DistributedModel(network)
        ...     model.compile(keras.optimizers.SGD(0.1, global_clipnorm=1.0), "mse")
        >>> model.count_params() == network.count_params()
        True
    """

    def __init__(self, network: keras.Model) -> None:
        if not hasattr(network, "inputs") or not hasattr(network, "outputs"):
            raise ValueError(
                "`network` must be a functional model, whose inputs and outputs are known. "
                f"Received: network={network!r}"
            )
        has_own = has_own_loss(network)
        outputs = network.output if has_own else network.outputs
        super().__init__(network.inputs, outputs, name=network.name)
        self._own_loss: Callable[..., Any] | None = network.compute_loss if has_own else None
        if network.distribute_strategy is not self.distribute_strategy:
            raise ValueError(
                "`network` must be made in the scope in which its DistributedModel is made: made "
                "outside, it would train on one device. "
                f"Received: network={network.name!r} of {network.distribute_strategy}"
            )
        self.train_function: Callable[..., Any] | None = None
        self.test_function: Callable[..., Any] | None = None
        self._taken_over = TakenOver()

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`."""
        merge_statistics(self)
        return super().evaluate(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.predict`."""
        merge_statistics(self)
        return super().predict(*args, **kwargs)

    def compile(self, optimizer: Any = "rmsprop", *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.compile`.

        Raises:
            ValueError: If `jit_compile=True`, which Keras can't do for several devices; or if
                `ema_overwrite_frequency` is no multiple of the steps of an execution.
        """
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas == 1:
            super().compile(optimizer, *args, **kwargs)
            return
        if kwargs.get("jit_compile") is True:
            raise ValueError(
                "`jit_compile` must be False or 'auto' with several replicas: Keras can't compile "
                f"variables on several devices. Received: jit_compile=True, {replicas} replicas"
            )
        optimizer = keras.optimizers.get(optimizer)
        if optimizer is None:  # to evaluate
            super().compile(None, *args, **kwargs)
            return
        dtype = getattr(self.dtype_policy, "name", "")
        if dtype == "mixed_float16" and not isinstance(
            optimizer, keras.optimizers.LossScaleOptimizer
        ):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        taken = self._taken_over = take_over(optimizer, replicas)
        steps = kwargs.get("steps_per_execution", 1)
        if steps % taken.accumulation_steps:
            steps *= taken.accumulation_steps
        if taken.ema_overwrite_frequency and taken.ema_overwrite_frequency % steps:
            raise ValueError(
                "`ema_overwrite_frequency` must be a multiple of the steps of an execution "
                f"({steps}). Received: ema_overwrite_frequency={taken.ema_overwrite_frequency}"
            )
        super().compile(optimizer, *args, **{**kwargs, "steps_per_execution": steps})

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """The network's own where it has one, as Keras's a replica's part of the mean."""
        if self._own_loss is None:
            return super().compute_loss(*args, **kwargs)
        return self._own_loss(*args, **kwargs) / self.distribute_strategy.num_replicas_in_sync

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Those of the probabilities."""
        classified = y_pred if self._own_loss is None else y_pred["probabilities"]
        return super().compute_metrics(x, y, classified, sample_weight)

    def train_step(self, data: Any) -> Logs:
        """One update, from one batch, or from a list of as many as are accumulated."""
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync == 1:
            own: Logs = super().train_step(data)
            return own
        weights = self.trainable_weights
        batches: Sequence[Any] = data if self._taken_over.accumulation_steps > 1 else [data]
        gradients: list[tf.Tensor | None] = [None] * len(weights)
        for batch in batches:
            done = [gradient for gradient in gradients if gradient is not None]
            with tf.control_dependencies(done):  # one after the other, in the memory of one
                more = self._gradients(batch, weights, context)
            gradients = [added(a, b) for a, b in zip(gradients, more, strict=True)]
        gradients = [divided(gradient, len(batches)) for gradient in gradients]
        if self._taken_over.reduces_first:
            known = [gradient for gradient in gradients if gradient is not None]
            reduced = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, known))
            gradients = [
                None if gradient is None else divided(next(reduced), context.num_replicas_in_sync)
                for gradient in gradients
            ]
        self.optimizer.apply(gradients, weights)
        logs: Logs = self.get_metrics_result()
        return logs

    def _gradients(
        self, batch: Any, weights: list[Any], context: tf.distribute.ReplicaContext
    ) -> list[tf.Tensor | None]:
        """This replica's part of the gradient of the loss's mean over all replicas' images."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        share = share_of(x, context)
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            # Keras has divided it by the number of replicas, as if their shares were equal.
            loss = self.compute_loss(x, y, y_pred, sample_weight, training=True)
            scaled = self.optimizer.scale_loss(loss * tf.cast(share, loss.dtype))
        self._update_metrics(x, y, y_pred, sample_weight, loss)
        gradients = tape.gradient(scaled, [weight.value for weight in weights])
        return cast(list[tf.Tensor | None], gradients)

    def test_step(self, data: Any) -> Logs:
        """Keras's, for a share that may be empty."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self._predict_share(x)
        loss = self.compute_loss(x, y, y_pred, sample_weight, training=False)
        self._update_metrics(x, y, y_pred, sample_weight, loss)
        logs: Logs = self.get_metrics_result()
        return logs

    def predict_step(self, data: Any) -> Any:
        """Keras's, for a share that may be empty."""
        return self._predict_share(keras.utils.unpack_x_y_sample_weight(data)[0])

    def _predict_share(self, x: Any) -> Any:
        """Predicts one image of zeros where there is none, and drops what came of it.

        TensorFlow's convolutions on the CPU fail on no images at all.
        """
        count = count_of(x)
        missing = tf.maximum(1 - count, 0)

        def filled(value: tf.Tensor) -> tf.Tensor:  # not by tf.pad: oneDNN's convolution eats it
            zeros = tf.zeros(tf.concat([[missing], tf.shape(value)[1:]], 0), value.dtype)
            return tf.concat([value, zeros], 0)

        outputs = self(tf.nest.map_structure(filled, x), training=False)
        return tf.nest.map_structure(lambda value: value[:count], outputs)

    def _update_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, loss: Any) -> None:
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        count = tf.cast(count_of(x), loss.dtype)
        loss = tf.where(count > 0, loss, tf.zeros_like(loss))  # the mean of none is no number
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss * replicas, sample_weight=count)
        self.compute_metrics(x, y, y_pred, sample_weight)

    def make_train_function(self, force: bool = False) -> None:
        """Makes `train_function`: a call is an execution, of one or more updates."""
        if self.distribute_strategy.num_replicas_in_sync == 1:
            super().make_train_function(force)
            return
        if self.train_function is not None and not force:
            return
        self.train_function = train_function(self, self._taken_over)

    def make_test_function(self, force: bool = False) -> None:
        """Makes `test_function`: a call is an execution, of one or more batches."""
        if self.distribute_strategy.num_replicas_in_sync == 1:
            super().make_test_function(force)
            return
        if self.test_function is not None and not force:
            return
        self.test_function = test_function(self)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Keras's own takes the mean of the replicas' batches, here of all workers, and fails
        # (keras-team/keras#20585). It only needs to see one.
        strategy = self.distribute_strategy
        if strategy.num_replicas_in_sync == 1 or iterator is None:
            super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)
            return
        for _, _, batches in iterator:
            data_batch = tf.nest.map_structure(
                lambda value: strategy.experimental_local_results(value)[0], next(batches)
            )
            break
        with strategy.scope():
            self._symbolic_build(data_batch=data_batch)
