"""Where a network's attention layers look, as outputs of a graph."""

import inspect
from collections.abc import Callable

import keras
import tensorflow as tf

from keras_attn.insertion.inserted_attention import InsertedAttention
from keras_attn.layers import (
    AugmentedConv2D,
    BottleneckSelfAttention2D,
    SelfAttention2D,
)

SELF_ATTENTION = (AugmentedConv2D, BottleneckSelfAttention2D, SelfAttention2D)
PREFIX = "attention_"


def attention_endpoint(
    model: keras.Model,
) -> Callable[[tf.Tensor], tuple[tf.Tensor, dict[str, tf.Tensor]]] | None:
    """A function from images to the network's output and its attention, or `None` without any.

    A layer's attention is named `attention_<layer>`, float32. A mask gives its mean over the
    channels, `(B, h, w)`; self-attention what each place receives, the mean over heads and
    queries, `(B, h, w)`, which sums to 1; a gate its channels' values, `(B, C)`. What a layer
    returns in another form is left out, and so is a map that is over the layer's bound.

    Args:
        model: A network that `check_image_model` accepts.
    """
    layers = [layer for layer in model.layers if _returns_attention(layer)]
    if not layers:
        return None
    # The layers are called again, on values and not on the graph's symbols: a symbolic call would
    # add a node to each.
    inputs = {layer.name: layer.input for layer in layers}
    probe = keras.Model(model.inputs[0], {"": model.outputs[0], **inputs})

    def run(image: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        values = probe(image, training=False)
        found = {}
        for layer in layers:
            try:
                output, attention = layer(values[layer.name], return_attention=True, training=False)
            except ValueError:  # a map over its bound: without the map, the layer has just run
                continue
            if (kept := _reduced(layer, output, attention)) is not None:
                found[PREFIX + layer.name] = tf.cast(kept, tf.float32)
        return values[""], found

    return run


def _reduced(
    layer: keras.layers.Layer, output: tf.Tensor, attention: tf.Tensor
) -> tf.Tensor | None:
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    if isinstance(layer, SELF_ATTENTION):
        received = tf.reduce_mean(tf.cast(attention, tf.float32), axis=(1, 2))  # (B, h w)
        shape = tf.shape(output)
        size = shape[2:4] if channels_first else shape[1:3]
        if isinstance(layer, AugmentedConv2D):
            size = -(-size // layer.attention_strides)
        return tf.reshape(received, (-1, size[0], size[1]))
    if attention.shape.rank != 4 or channels_first:
        return None
    if attention.shape[1:3] == (1, 1):
        return tf.squeeze(attention, (1, 2))  # (B, C)
    # A mask as large as what it weighs: (B, h, w, C) or (B, h, w, 1).
    if attention.shape[1:3] == output.shape[1:3]:
        return tf.reduce_mean(attention, axis=-1)
    return None


def _returns_attention(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, InsertedAttention):
        return _returns_attention(layer.layer)
    if isinstance(layer, AugmentedConv2D) and layer.attention is None:
        return False  # a plain convolution: its depth of values is zero
    return "return_attention" in inspect.signature(layer.call).parameters
