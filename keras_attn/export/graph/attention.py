"""Where a network's attention layers look, as outputs of a graph."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_attn._keras import arguments_of
from keras_attn.export.graph.endpoint import as_served, class_output, has_named_outputs
from keras_attn.layers import (
    attention_by_channel,
    attention_by_place,
    attention_form,
    attention_layers,
)
from keras_attn.layers.contract import MapTooLargeError

PREFIX = "attention_"
HEADS_PREFIX = "heads_"


def attention_endpoint(
    model: keras.Model,
) -> Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]] | None:
    """A function from images to the network's outputs and its attention, or `None` without any.

    The outputs are those of the network's dict, or `outputs`, what classes are ranked by.

    A layer's attention is named `attention_<layer>`, float32. A mask, and a gate of places, gives
    its mean over the channels, `(B, h, w)`; self-attention what each place receives, the mean over
    heads and queries, `(B, h, w)`, which sums to 1 where each query's does; a gate of channels
    their values, `(B, C)`, or `(B, P, C)` with a gate for each of P branches. Self-attention of
    several heads also gives what each place receives by each of them, `heads_<layer>`,
    `(B, N, h, w)`. Of a caption it is what each word looks at, `(B, T, h, w)`. A map that is over
    the layer's bound is left out.

    Args:
        model: A network that `check_image_model` accepts.
    """
    layers = attention_layers(model)
    if not layers:
        return None
    # The layers are called again, on values and not on the graph's symbols: a symbolic call would
    # add a node to each.
    calls = {layer.name: arguments_of(layer) for layer in layers}
    inputs = {
        name: [x for x in keras.tree.flatten(call) if isinstance(x, keras.KerasTensor)]
        for name, call in calls.items()
    }
    outputs = model.output if has_named_outputs(model) else {"outputs": class_output(model)}
    probe = keras.Model(model.inputs[0], {"": outputs, **inputs})

    def run(image: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        values = probe(image, training=False)
        found = {}
        for layer in layers:
            given = iter(values[layer.name])
            args, kwargs = keras.tree.map_structure(
                lambda x, given=given: next(given) if isinstance(x, keras.KerasTensor) else x,
                calls[layer.name],
            )
            kwargs |= {"return_attention": True, "training": False}
            try:
                output, attention = layer(*args, **kwargs)
            except MapTooLargeError:  # without the map, the layer has just run
                continue
            shown = _shown(layer, output, attention)
            found[PREFIX + layer.name] = tf.cast(shown, tf.float32)
            if attention_form(layer) == "map" and attention.shape[1] not in (None, 1):
                heads = _by_head(layer, output, attention)
                found[HEADS_PREFIX + layer.name] = tf.cast(heads, tf.float32)
        return {name: as_served(value) for name, value in values[""].items()}, found

    return run


def _shown(layer: Any, output: tf.Tensor, attention: tf.Tensor) -> tf.Tensor:
    if attention_form(layer) in ("boxes", "steps"):
        return attention
    if attention_form(layer) == "channel_gate":
        return attention_by_channel(layer, attention)
    return attention_by_place(layer, attention, keras.ops.shape(output))


def _by_head(layer: Any, output: tf.Tensor, attention: tf.Tensor) -> tf.Tensor:
    """A map (B, N, ...) -> what each place receives by each head, (B, N, h, w).

    Each head is an image of its own here, as only the layer knows how its map is laid out.
    """
    _, heads, *sides = keras.ops.shape(attention)
    alone = keras.ops.reshape(attention, (-1, 1, *sides))  # (B N, 1, ...)
    by_place = attention_by_place(layer, alone, keras.ops.shape(output))
    _, height, width = keras.ops.shape(by_place)
    return keras.ops.reshape(by_place, (-1, heads, height, width))
