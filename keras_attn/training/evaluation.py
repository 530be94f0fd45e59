"""Measuring an image classifier by the loss and the metrics that it is trained with."""

import keras

from keras_attn.data.given import Images, as_dataset
from keras_attn.training.checks import check_model
from keras_attn.training.placement.strategy import place_of
from keras_attn.training.settings import as_weights_ask

LOSS = "categorical_crossentropy"


def metrics() -> list[keras.metrics.Metric]:
    """What is measured beside the loss.

    Not by name: Keras makes a named one within the first step, which TensorFlow then traces twice.
    """
    return [keras.metrics.CategoricalAccuracy(name="accuracy")]


def evaluate(model: keras.Model, dataset: Images, *, batch_size: int = 128) -> dict[str, float]:
    """Measures a classifier on the held-out images of a data set.

    Photographs are cropped and resized as the model's weights ask, unless `load_dataset` was told
    otherwise.

    The numbers are those of Keras's `Model.evaluate`, as `fit` reports them: TensorFlow computes
    the loss from the logits, the other backends from probabilities that they clip.

    Args:
        model: Model that gives probabilities `(B, classes)`. It need not be compiled, and stays as
            it is.
        dataset: Data set whose held-out images are taken; or a pair, as in `train`.
        batch_size: Number of images in a batch. But for rounding, it doesn't change the result.

    Returns:
        `loss`, the mean cross-entropy in nats and what regularizers of the model add to it, and
        `accuracy`, the share of images whose most probable class is the right one.

    Raises:
        ValueError: If the model doesn't fit the data or `batch_size` is wrong.

    Example:
        >>> sorted(evaluate(model, load_dataset("digits")))
        ['accuracy', 'loss']
    """
    dataset = as_dataset(dataset)
    check_model(model, dataset)
    dataset = as_weights_ask(dataset, model)
    placement = place_of(model)
    with placement.scope():
        measured = placement.model_to_evaluate(model)
        measured.compile(
            None,
            loss=LOSS,
            metrics=metrics(),
            jit_compile="auto" if placement.replicas > 1 else model.jit_compile,
        )
        return placement.evaluate(measured, dataset, batch_size)
