"""Parameters and multiply-accumulates of a network."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_attn._staging import written_whole
from keras_attn.cost.graph_macs import count_graph
from keras_attn.layers import attention_form

# What `keras-attn models` prints without counting; `keras-attn models --count --csv` writes it.
COSTS = Path(__file__).with_name("costs.csv")


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: All weights, the moving statistics of BatchNormalization among them.
        trainable: The trainable weights.
        macs: Multiply-accumulates of a forward pass for one image; see `count_cost`.
        input_shape: The image's shape for which they were counted.
        uncounted: Operations of the graph, as TensorFlow calls them, of which it isn't known what
            they cost, such as `RFFT`. They count zero.
    """

    parameters: int
    trainable: int
    macs: int
    input_shape: tuple[int, ...]
    uncounted: tuple[str, ...] = ()

    @property
    def flops(self) -> int:
        """Floating-point operations: two for each multiply-accumulate."""
        return 2 * self.macs


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


def read_costs(path: str | os.PathLike = COSTS) -> dict[str, Cost]:
    """Reads what `write_costs` wrote; by default, the table of this version's networks."""
    with open(path, encoding="utf-8", newline="") as file:
        return {
            row["name"]: Cost(
                parameters=int(row["parameters"]),
                trainable=int(row["trainable"]),
                macs=int(row["macs"]),
                input_shape=tuple(int(size) for size in row["input_shape"].split("x")),
            )
            for row in csv.DictReader(file)
        }


def write_costs(costs: Mapping[str, Cost], path: str | os.PathLike) -> None:
    """Writes a table of names and costs as CSV."""
    with written_whole(path) as whole, open(whole, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "input_shape", "parameters", "trainable", "macs"])
        for name, cost in costs.items():
            shape = "x".join(map(str, cost.input_shape))
            writer.writerow([name, shape, cost.parameters, cost.trainable, cost.macs])
