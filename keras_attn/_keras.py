"""What is used of Keras beside its public interface: where a new version of it may break.

Methods that are overridden are in their classes: `training/layerwise.py` and
`training/placement/distributed_model.py`.
"""

from typing import Any

import keras


def layers_of(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A layer, or a model, and all layers within it, however deep."""
    return list(layer._flatten_layers())


def rate_of(optimizer: keras.optimizers.Optimizer) -> Any:
    """The learning rate that an optimizer was given: a schedule where it has one."""
    return optimizer._learning_rate


def made_by(tensor: Any) -> Any:
    """The layer, or operation, whose output a symbolic tensor is."""
    return tensor._keras_history.operation
