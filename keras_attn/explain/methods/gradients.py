"""Heat by the gradient of a class's score: Grad-CAM and its kin, and integrated gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.backend import value_and_gradient
from keras_attn.explain.attention import output_shape
from keras_attn.explain.maps import to_numpy
from keras_attn.explain.targets import score_of
from keras_attn.explain.watching import (
    Call,
    layers_by_name,
    replaced_calls,
    scores_before_probabilities,
)
from keras_attn.typing import Tensor

PASSING = (keras.layers.InputLayer, keras.layers.ZeroPadding2D)  # whose maps are others'
NODES = 32  # of the quadrature that integrates gradients


def outputs_and_map(
    model: keras.Model, images: np.ndarray, layer: keras.layers.Layer
) -> tuple[np.ndarray, np.ndarray]:
    """A model's outputs, and the map that a layer of it gives on the way.

    Args:
        model: The model.
        images: (B, H, W, C).
        layer: One of its layers, or of a nested model's. Where it is used several times, its first
            output counts.

    Returns:
        Two float32 arrays, the map as the layer gives it.

    Raises:
        ValueError: If the layer's output is no map.
    """
    maps: list[Tensor] = []

    def record(call: Call, *args: Any, **kwargs: Any) -> Any:
        maps.append(call(*args, **kwargs))
        return maps[-1]

    with replaced_calls({"layer": (layer, record)}):
        outputs = model(ops.convert_to_tensor(images, "float32"), training=False)
    first = maps[0]
    if len(getattr(first, "shape", ())) != 4:
        raise ValueError(
            "`layer` must be one whose output is a map, (B, h, w, C). "
            f"Received: layer={layer.name!r}, whose output is {getattr(first, 'shape', first)}"
        )
    return to_numpy(outputs), to_numpy(first)


def gradient_of_map(
    model: keras.Model,
    images: np.ndarray,
    layer: keras.layers.Layer,
    shape: tuple[int, ...],
    classes: np.ndarray,
) -> np.ndarray:
    """The gradient of each image's score with respect to a layer's first output.

    Args:
        model: The model.
        images: (B, H, W, C).
        layer: See `outputs_and_map`.
        shape: Shape of the layer's output.
        classes: (B,), the class of each image.

    Returns:
        float32 of that shape.
    """
    x = ops.convert_to_tensor(images, "float32")

    def score(change: Tensor) -> tuple[Tensor, None]:
        uses = []

        def add(call: Call, *args: Any, **kwargs: Any) -> Any:
            output = call(*args, **kwargs)
            uses.append(output)
            return output + ops.cast(change, output.dtype) if len(uses) == 1 else output

        with replaced_calls({"layer": (layer, add)}), scores_before_probabilities(model):
            return score_of(model(x, training=False), classes), None

    return to_numpy(value_and_gradient(score, ops.zeros(shape, "float32"))[1])


def channels_last(layer: keras.layers.Layer, values: np.ndarray) -> np.ndarray:
    """A layer's map, or its gradient, as (B, h, w, C)."""
    is_last = getattr(layer, "data_format", "channels_last") != "channels_first"
    return values if is_last else np.moveaxis(values, 1, -1)


def grad_cam(activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Selvaraju et al., ICCV 2017, equations 1 and 2: channels by their gradients' means."""
    weights = gradient.mean(axis=(1, 2), keepdims=True)  # (B, 1, 1, C)
    return np.asarray(np.maximum((weights * activation).sum(axis=-1), 0))


def grad_cam_plus_plus(activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Chattopadhay et al., WACV 2018, equations 10 and 19, of the exponential of the score."""
    square, cube = gradient**2, gradient**3
    below = 2 * square + activation.sum(axis=(1, 2), keepdims=True) * cube
    alpha = np.where(gradient != 0, square / np.where(below == 0, 1, below), 0)
    weights = (alpha * np.maximum(gradient, 0)).sum(axis=(1, 2), keepdims=True)
    return np.asarray(np.maximum((weights * activation).sum(axis=-1), 0))


def hires_cam(activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Draelos and Carin, 2020: each place by its own gradient, which is faithful to the score."""
    return np.asarray(np.maximum((gradient * activation).sum(axis=-1), 0))


CAMS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "grad_cam": grad_cam,
    "grad_cam++": grad_cam_plus_plus,
    "hires_cam": hires_cam,
}


def integrated_gradients(
    model: keras.Model,
    images: np.ndarray,
    classes: np.ndarray,
    baseline: np.ndarray | float = 0.0,
    nodes: int = NODES,
) -> tuple[np.ndarray, np.ndarray]:
    """Sundararajan et al., ICML 2017: the gradient along the way from a baseline to the image.

    Args:
        model: The model.
        images: (B, H, W, C).
        classes: (B,), the class of each image.
        baseline: An image, or a value: where the way begins.
        nodes: Points of the Gauss-Legendre quadrature, each a forward and a backward pass.

    Returns:
        The share of each value of each image in the score, float32 (B, H, W, C), and what the
        score grows by from the baseline to the image, (B,): to that the shares sum up, but for the
        quadrature.
    """
    images = images.astype("float32")
    start = np.broadcast_to(np.asarray(baseline, "float32"), images.shape)

    def score(x: Tensor) -> tuple[Tensor, Tensor]:
        with scores_before_probabilities(model):
            outputs = model(x, training=False)
        return score_of(outputs, classes), outputs

    places, weights = np.polynomial.legendre.leggauss(nodes)
    total = np.zeros(images.shape)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        x = ops.convert_to_tensor(start + place * (images - start), "float32")
        total += weight * to_numpy(value_and_gradient(score, x)[1])
    rows = np.arange(len(images))
    ends = [
        to_numpy(score(ops.convert_to_tensor(each, "float32"))[1])[rows, classes]
        for each in (images, start)
    ]
    return ((images - start) * total).astype("float32"), ends[0] - ends[1]


def map_stages(model: keras.Model) -> list[str]:
    """The last layer of each size of map (h, w), of several places, in the model's order."""
    last: dict[tuple[int | None, ...], str] = {}
    for name, layer in layers_by_name(model).items():
        shape = output_shape(layer)
        if shape is None or len(shape) != 4 or isinstance(layer, PASSING):
            continue
        is_last = getattr(layer, "data_format", "channels_last") != "channels_first"
        grid = shape[1:3] if is_last else shape[2:4]
        if grid != (1, 1):
            last.pop(grid, None)
            last[grid] = name
    return list(last.values())


def last_map(model: keras.Model) -> str:
    """The name of the last layer whose output is a map of several places.

    Raises:
        ValueError: If there is none.
    """
    stages = map_stages(model)
    if not stages:
        raise ValueError(
            "`model` must have a layer whose output is a map, (B, h, w, C), for Grad-CAM. "
            f"Received: model {model.name!r}, which has none"
        )
    return stages[-1]
