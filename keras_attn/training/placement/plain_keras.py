"""One device of JAX's or PyTorch's, by Keras's own means."""

from typing import Any

import keras

from keras_attn.data.batches.ahead import Ahead, InputClock
from keras_attn.data.batches.sequence import EvaluationSequence, TrainingSequence
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.placement.base import Placement


class PlainKeras(Placement):
    """A training on a backend that has no tf.distribute."""

    def training_batches(
        self,
        dataset: ImageDataset,
        batch_size: int,
        *,
        steps_per_epoch: int,
        start_epoch: int,
        clock: InputClock | None = None,
        **options: Any,
    ) -> Ahead:
        """What `fit` takes."""
        batches = TrainingSequence(
            dataset,
            batch_size,
            steps_per_epoch=steps_per_epoch,
            start_epoch=start_epoch,
            **options,
        )
        return Ahead(batches, clock)

    def validation_batches(self, dataset: ImageDataset, batch_size: int) -> EvaluationSequence:
        """The held-out images with their classes one-hot."""
        return EvaluationSequence(dataset, batch_size, for_device=True)

    def fit(self, model: keras.Model, batches: Any, **options: Any) -> None:
        """Trains a model as `Model.fit` with these options does."""
        super().fit(model, batches, **options)
        if keras.backend.backend() == "jax":
            # With an average of the weights, network and optimizer end with the same buffers:
            # the next `predict` would give them away.
            for variable in model.optimizer.variables:
                variable.assign(variable.numpy())
