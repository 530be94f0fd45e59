"""One device of TensorFlow's: the first visible GPU, else the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras

from keras_attn._keras import build_for, classified
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.placement.base import Placement

if TYPE_CHECKING:
    import tensorflow as tf


class OneDevice(Placement):
    """A training by one replica.

    Args:
        strategy: Strategy of tf.distribute.
    """

    name = "one-device"

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        self.replicas = strategy.num_replicas_in_sync

    @classmethod
    def make_strategy(cls, timeout: float) -> tf.distribute.Strategy:
        """TensorFlow's default, not OneDeviceStrategy: its wrapped variables bring nothing here."""
        import tensorflow as tf

        return tf.distribute.get_strategy()

    def make_deterministic(self) -> None:
        """Asks TensorFlow for the same bits in each run."""
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()

    def training_batches(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        steps_per_epoch: int,
        start_epoch: int,
        **options: Any,
    ) -> Any:
        """Endless batches from that epoch on."""
        import tensorflow as tf

        from keras_attn.data.batches.tensorflow_pipeline import prefetched, training_batches

        start_step = start_epoch * steps_per_epoch
        batches = training_batches(
            dataset, batch_size, start_step=start_step, for_device=True, **options
        )
        gpus = tf.config.list_logical_devices("GPU")
        if not gpus or self.strategy is not tf.distribute.get_strategy():
            return batches  # other strategies fetch to their devices themselves
        return prefetched(batches, gpus[0].name)

    def fit(
        self, model: keras.Model, batches: Any, *, augment: Sequence[str], **options: Any
    ) -> None:
        """Trains a model as `Model.fit` with these options does, each step on finished batches."""
        from keras_attn.data.batches.tensorflow_pipeline import finisher

        with steps_begin_with(finisher(augment), model):
            super().fit(model, batches, augment=augment, **options)

    def validation_batches(self, dataset: ImageDataset, batch_size: int) -> tf.data.Dataset:
        """The held-out images with their classes one-hot."""
        import tensorflow as tf

        from keras_attn.data.batches.tensorflow_pipeline import evaluation_batches

        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = self.sharding()
        batches = evaluation_batches(dataset, batch_size, for_device=True).with_options(options)
        classes = dataset.num_classes
        return batches.map(lambda images, labels: (images, tf.one_hot(labels, classes)))

    def sharding(self) -> tf.data.experimental.AutoShardPolicy:
        """How the held-out images are shared out to processes."""
        import tensorflow as tf

        return tf.data.experimental.AutoShardPolicy.OFF


PLACEMENT = OneDevice


@contextlib.contextmanager
def steps_begin_with(finish: Callable[..., Any], model: keras.Model) -> Iterator[None]:
    """Lets a model's training steps begin with a function of the batch, on the replica's device."""
    step = model.train_step

    def finished_step(data: Any) -> Any:
        # Several batches where a `DistributedModel` accumulates their gradients.
        several = isinstance(data, list)
        return step([finish(*batch) for batch in data] if several else finish(*data))

    sides = (model.inputs[0], classified(model))
    build_for(model, *(keras.KerasTensor((2, *side.shape[1:])) for side in sides))
    model.train_step = finished_step
    try:
        yield
    finally:
        del model.train_step
        model.train_function = None  # of the batches that were not finished
