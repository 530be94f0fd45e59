"""What is used of Keras beside its public interface: where a new version of it may break.

Methods that are overridden are in their classes: `training/layerwise.py` and
`training/placement/distributed_model.py`.
"""

from collections.abc import Iterator
from typing import Any

import keras

from keras_attn.typing import Tensor


def layers_of(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A layer, or a model, and all layers within it, however deep."""
    return list(layer._flatten_layers())


def parts_of(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers that a layer is made of, without those within them."""
    return list(layer._layers)


def rate_of(optimizer: keras.optimizers.Optimizer) -> Any:
    """The learning rate that an optimizer was given: a schedule where it has one."""
    return optimizer._learning_rate


def made_by(tensor: Tensor) -> keras.Operation:
    """The layer, or operation, whose output a symbolic tensor is."""
    return tensor._keras_history.operation


def sources_of(tensor: Tensor) -> list[Tensor]:
    """The symbolic tensors that `made_by(tensor)` made this one of."""
    history = tensor._keras_history
    return list(history.operation._inbound_nodes[history.node_index].input_tensors)


def arguments_of(layer: keras.layers.Layer) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a layer was first called with in a graph, with symbolic tensors among it."""
    arguments = layer._inbound_nodes[0].arguments
    return tuple(arguments.args), dict(arguments.kwargs)


def classified(model: keras.Model, names: tuple[str, ...] = ("probabilities",)) -> Tensor:
    """What a network is asked for: its one output, or the first of a dict that has such a name."""
    # A Sequential model that was loaded may have no `output`.
    output = model.output if len(model.outputs) > 1 else None
    named = (output[name] for name in names if isinstance(output, dict) and name in output)
    return next(named, model.outputs[0])


def build_for(model: keras.Model, images: keras.KerasTensor, labels: keras.KerasTensor) -> None:
    """Makes what `fit` under tf.distribute makes of its first batch, of one that is as it must be.

    Args:
        model: A compiled model.
        images: A symbolic batch.
        labels: Its symbolic labels.
    """
    if model._distribute_strategy is not None:
        model._symbolic_build(data_batch=(images, labels))


def calls_of(model: keras.Model) -> Iterator[tuple[keras.Operation, list[keras.Operation]]]:
    """Each call of an operation in a functional model, with the operations that it reads."""
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            yield node.operation, [source.operation for source in node.parent_nodes]
