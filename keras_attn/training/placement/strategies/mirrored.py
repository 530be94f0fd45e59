"""A replica on each visible GPU of a machine, else on each logical CPU device."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import keras

from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.placement.strategies.one_device import OneDevice

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_attn.training.config import TrainingConfig


class Mirrored(OneDevice):
    """A training by several replicas in step: MirroredStrategy, and every other of that kind."""

    name = "mirrored"

    @classmethod
    def make_strategy(cls, timeout: float) -> tf.distribute.Strategy:
        """MirroredStrategy on all devices."""
        import tensorflow as tf

        if gpus := tf.config.list_logical_devices("GPU"):
            return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus])
        # The default, collective operations, fail as soon as one process makes a second
        # MirroredStrategy with another network.
        return tf.distribute.MirroredStrategy(
            [cpu.name for cpu in tf.config.list_logical_devices("CPU")],
            cross_device_ops=tf.distribute.ReductionToOneDevice(),
        )

    def check(self, config: TrainingConfig) -> None:
        """Raises a ValueError if several replicas can't train with these options."""
        super().check(config)
        if config.jit_compile is True:
            raise ValueError(
                "`jit_compile` must be False or 'auto' with several replicas: Keras can't compile "
                f"variables on several devices. Received: jit_compile=True, {self.replicas} "
                "replicas"
            )

    def check_scope(self, network: keras.Model) -> None:
        """Raises a ValueError if the network was made outside the strategy's scope."""
        if network.distribute_strategy.num_replicas_in_sync != self.replicas:
            raise ValueError(
                "`build_model` must make the model when it is called: made before, outside the "
                "strategy's scope, it would train on one device"
            )

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The strategy's."""
        scope: AbstractContextManager[Any] = self.strategy.scope()
        return scope

    def model_to_fit(self, network: keras.Model) -> keras.Model:
        """A `DistributedModel`."""
        from keras_attn.training.placement.distributed_model import DistributedModel

        return DistributedModel(network)

    def model_to_evaluate(self, network: keras.Model) -> keras.Model:
        """A `DistributedModel`, too."""
        return self.model_to_fit(super().model_to_evaluate(network))

    def merge_statistics(self, network: keras.Model) -> None:
        """Gives all replicas the mean of what each has for itself, as BatchNormalization has."""
        from keras_attn.training.placement.replica_state import merge_statistics

        merge_statistics(network)

    def decorrelate(self, network: keras.Model) -> None:
        """Lets Dropout and the like draw differently on each replica."""
        from keras_attn.training.placement.replica_state import decorrelate

        decorrelate(network)

    def training_batches(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        steps_per_epoch: int,
        start_epoch: int,
        **options: Any,
    ) -> Any:
        """Each replica's share of the same batches as on one device."""
        from keras_attn.data.batches.tensorflow_pipeline import training_batches

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            local = self.replicas // context.num_input_pipelines
            first = context.input_pipeline_id * local
            return training_batches(
                dataset,
                batch_size,
                start_step=start_epoch * steps_per_epoch,
                replicas=range(first, first + local),
                num_replicas=self.replicas,
                for_device=True,
                **options,
            )

        return self.strategy.distribute_datasets_from_function(of_worker)


PLACEMENT = Mirrored
