"""What the layers of a model compute, wherever they stand in it.

A layer's `call` is replaced for as long as a context lasts, so that nothing is asked of the model's
graph: nested models, several uses of a layer and every backend are alike.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from keras_attn._keras import made_by
from keras_attn.layers import attention_form
from keras_attn.typing import Tensor

Call = Callable[..., Any]
PROBABILITIES = ("softmax", "sigmoid", "log_softmax")


def layers_by_name(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """A model's layers in its order; those within a nested model as `"outer/inner"`."""
    found: dict[str, keras.layers.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            inner = layers_by_name(layer)
            found |= {f"{layer.name}/{name}": each for name, each in inner.items()}
        else:
            found[layer.name] = layer
    return found


def attention_layers_by_name(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Those of them that say their `attention_form`."""
    layers = layers_by_name(model)
    return {name: layer for name, layer in layers.items() if attention_form(layer) is not None}


@contextlib.contextmanager
def replaced_calls(replacements: Mapping[str, tuple[Any, Call]]) -> Iterator[None]:
    """Replaces the calls of layers.

    Args:
        replacements: By any names: a layer, and what is called instead of its `call`, with that
            as the first argument.
    """

    def bound(instead: Call, call: Call) -> Call:
        return lambda *args, **kwargs: instead(call, *args, **kwargs)

    with contextlib.ExitStack() as stack:
        for layer, instead in replacements.values():
            # Not by the layer's own __setattr__, which would track the function.
            object.__setattr__(layer, "call", bound(instead, layer.call))
            stack.callback(object.__delattr__, layer, "call")
        yield


def record_attention(seen: dict[str, tuple[Tensor, Tensor]], name: str) -> Call:
    """For `replaced_calls`: keeps a layer's first output and attention in `seen`."""

    def instead(call: Call, *args: Any, return_attention: bool = False, **kwargs: Any) -> Any:
        output, attention = call(*args, **kwargs, return_attention=True)
        seen.setdefault(name, (output, attention))
        return (output, attention) if return_attention else output

    return instead


@contextlib.contextmanager
def scores_before_probabilities(model: keras.Model) -> Iterator[None]:
    """The model gives what its last softmax or sigmoid is given, where it ends in one."""
    last = made_by(model.outputs[0])
    while isinstance(last, keras.Model):
        last = made_by(last.outputs[0])
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    if isinstance(last, keras.layers.Softmax) or (
        isinstance(last, keras.layers.Activation) and activation in PROBABILITIES
    ):
        with replaced_calls({"last": (last, lambda call, x, *args, **kwargs: x)}):
            yield
    elif activation in PROBABILITIES:
        kept = last.activation
        object.__setattr__(last, "activation", keras.activations.linear)
        try:
            yield
        finally:
            object.__setattr__(last, "activation", kept)
    else:
        yield
