"""Parameters and multiply-accumulates of a network."""

from __future__ import annotations

import math
from typing import Any

import keras

from keras_attn.cost.graph_macs import count_graph
from keras_attn.cost.table import Cost
from keras_attn.layers import attention_form


def count_cost(model: keras.Model, input_shape: tuple[int, ...] | None = None) -> Cost:
    """Counts the parameters of a network, and the multiply-accumulates (MACs) for one image.

    The MACs are counted in the TensorFlow graph of `model(image, training=False)`, so that they
    are those of what runs, inside layers too, a user's own among them. But for one thing:
    self-attention may compute in chunks, or fold positions into the keys. A layer whose
    `attention_form` is `"map"` counts as the map of its `return_attention` is made. The
    convention:

    - Convolutions, dense layers and the products of attention count: queries with keys, queries
      with relative positions, attention with values, the projections of Squeeze-and-Excitation.
    - One MAC is two FLOPs. Many papers write FLOPs and mean MACs.
    - A bias, BatchNormalization, activation, pooling, softmax, sum or scaling counts zero.
    - A product with a matrix of fixed numbers counts zero: it is how bilinear interpolation, and
      the choice of rows from a table of relative positions, are written here. Both operands of a
      product that counts depend on the image or on weights.
    - A transposed convolution counts its kernel at each place of its input.
    - What else costs something, such as a Fourier transform, counts zero and is named in the
      result.

    Args:
        model: A network with one image as its input.
        input_shape: The image's shape without the batch; by default the model's own, which must
            then be fully known.

    Returns:
        The cost.

    Raises:
        ValueError: If a size is unknown, the model is not functional or has several inputs, or its
            graph has loops or branches, whose cost is not one number.
        RuntimeError: If Keras does not run on TensorFlow.

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    >>> count_cost(model).macs  # 6 x 6 places, 4 filters of 3 x 3 x 3
    3888
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "count_cost reads a TensorFlow graph. Set KERAS_BACKEND=tensorflow. "
            f"Received: the backend {keras.backend.backend()!r}"
        )
    import tensorflow as tf

    inputs = getattr(model, "inputs", None) or []
    if len(inputs) != 1:
        raise ValueError(
            f"`model` must have one input. Received: model={model.name!r} with {len(inputs)}"
        )
    shape = tuple(input_shape or model.inputs[0].shape[1:])
    if None in shape:
        raise ValueError(
            f"`input_shape` must be given, as the input of {model.name!r} is {shape}. "
            f"Received: input_shape={input_shape!r}"
        )
    textbook = keras.models.clone_model(
        keras.Model(model.inputs, model.outputs),
        clone_function=lambda layer: layer,  # the same layers and weights
        call_function=_call_with_map,
    )
    graph = (
        tf.function(lambda image: textbook(image, training=False), autograph=False)
        .get_concrete_function(tf.TensorSpec((1, *shape), model.inputs[0].dtype))
        .graph
    )
    # Captured resources are the weights; other captures are constants.
    varying = [t for t in graph.inputs if t is graph.inputs[0] or t.dtype == tf.resource]
    macs, uncounted = count_graph(graph, {t.ref() for t in varying})
    return Cost(
        parameters=model.count_params(),
        trainable=sum(math.prod(w.shape) for w in model.trainable_weights),
        macs=macs,
        input_shape=shape,
        uncounted=uncounted,
    )


def _call_with_map(layer: Any, *args: Any, **kwargs: Any) -> Any:
    if attention_form(layer) == "map" and "return_attention" not in kwargs:
        outputs = layer(*args, **kwargs, return_attention=True)
        if isinstance(outputs, (tuple, list)):  # else its `compute_output_shape` knows of none
            return outputs[0]
    return layer(*args, **kwargs)
