"""A functional model made again, layer by layer, with the same names and weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_attn.insertion.inserted_attention import InsertedAttention


def functional(model: Any) -> keras.Model:
    """A functional view of the model's graph: Sequential has none, and the view isn't compiled."""
    try:
        functional = isinstance(model, keras.Model) and bool(model.inputs) and bool(model.outputs)
    except (AttributeError, ValueError):  # a subclassed model, a Sequential before it is built
        functional = False
    if not functional:
        raise ValueError(
            "`model` must be a functional or a built Sequential keras.Model, whose graph says what "
            "each layer is given; keras.Model(inputs, outputs) around a subclassed model's parts "
            f"makes one, and Sequential needs a keras.Input. Received: model={model!r}"
        )
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def rebuilt(
    model: keras.Model, call: Callable[..., Any], copy: Callable[..., Any] | None = None
) -> keras.Model:
    """The model with each layer made again and called by `call`, and the old weights."""
    own = {id(x.output): x for x in model.layers if isinstance(x, keras.layers.InputLayer)}

    def new_input(x: Any) -> Any:  # clone_model would give it another name
        return (copy or copy_operation)(own[id(x)]).output

    result = keras.models.clone_model(
        model,
        input_tensors=keras.tree.map_structure(new_input, model.input),
        clone_function=copy or copy_operation,
        call_function=call,
    )
    old_layers = {layer.name: layer for layer in model.layers}
    for layer in result.layers:
        if layer.name in old_layers:
            _copy_weights(old_layers[layer.name], layer)
    return result


def copy_operation(operation: Any, config: dict[str, Any] | None = None) -> Any:
    """A layer, or another operation of a graph, made again with weights of its own.

    Args:
        operation: The operation.
        config: The configuration to make it from, if not its own.
    """
    try:
        given: dict[str, Any] = operation.get_config() if config is None else config
        if type(operation) is keras.layers.Lambda:  # Keras makes none from a configuration
            return _copy_lambda(operation, given)
        return type(operation).from_config(given)
    except Exception as error:
        raise ValueError(
            "`model` must have layers that `from_config(get_config())` makes again; a class of "
            "your own may need keras.saving.register_keras_serializable. "
            f"Received: {operation.name!r} ({type(operation).__name__}): {error}"
        ) from error


def _copy_lambda(layer: keras.layers.Lambda, config: dict[str, Any]) -> keras.layers.Lambda:
    return keras.layers.Lambda(
        layer.function,
        output_shape=layer._output_shape,
        mask=layer.mask,
        arguments=layer.arguments,
        **{key: config[key] for key in ("name", "trainable", "dtype")},
    )


def _copy_weights(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    if isinstance(old, InsertedAttention) and old.a is not None and new.a is None:
        new.layer.set_weights(old.layer.get_weights())
        return
    new.set_weights(old.get_weights())
    _copy_frozen(old, new)
    for layer in _with_inner(new):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with constants made of its weights


def _copy_frozen(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """What is frozen within a layer: its configuration speaks of the whole."""
    for before, now in zip(old._flatten_layers(), new._flatten_layers(), strict=True):
        if now.trainable != before.trainable:
            now.trainable = before.trainable


def _with_inner(layer: Any) -> list[Any]:
    inner = layer.layers if isinstance(layer, keras.Model) else []
    if isinstance(layer, keras.layers.Wrapper):
        inner = [layer.layer]
    return [layer, *(each for x in inner for each in _with_inner(x))]
