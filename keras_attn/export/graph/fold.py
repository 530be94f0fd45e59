"""BatchNormalization folded into the convolution before it: the same function with fewer steps."""

from typing import Any

import keras
import numpy as np

from keras_attn._keras import calls_of, layers_of, made_by
from keras_attn.insertion.rebuild import copy_operation, functional

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def fold_batch_norm(model: keras.Model) -> tuple[keras.Model, int]:
    """Makes a network without the BatchNormalization that follows a convolution directly.

    The convolution's kernel and bias take over scale, offset, mean and variance:
    `w' = w g / sqrt(v + e)`, `b' = (b - m) g / sqrt(v + e) + beta`, in float64. An identity of the
    same name stays in the place of the BatchNormalization. Only for inference.

    A pair is left alone inside a nested model or another layer, where the convolution has an
    activation, where something else reads its output, where a layer is used twice, and where it
    doesn't compute in float32.

    Args:
        model: A functional or built Sequential network. It stays as it is.

    Returns:
        The new network, and how many pairs were folded. The network itself where that is 0.
    """
    graph = functional(model)
    pairs = _pairs(graph)
    if not pairs:
        return model, 0
    norms = {norm.name for norm in pairs.values()}

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in pairs:
            return type(layer).from_config({**layer.get_config(), "use_bias": True})
        if layer.name in norms:
            return keras.layers.Identity(name=layer.name, dtype=layer.dtype_policy)
        return copy_operation(layer)

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        return layer(args[0]) if layer.name in norms else layer(*args, **kwargs)

    folded = keras.models.clone_model(graph, clone_function=copy, call_function=call)
    for layer in graph.layers:
        if layer.name in pairs:
            folded.get_layer(layer.name).set_weights(_folded(layer, pairs[layer.name]))
        elif layer.weights and layer.name not in norms:
            _copy_weights(layer, folded.get_layer(layer.name))
    return folded, len(pairs)


def _pairs(graph: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """Name of the convolution -> the BatchNormalization that alone reads its output."""
    readers: dict[str, list[keras.layers.Layer]] = {}
    uses: dict[str, int] = {}
    for operation, sources in calls_of(graph):
        uses[operation.name] = uses.get(operation.name, 0) + 1
        for source in sources:
            readers.setdefault(source.name, []).append(operation)
    outputs = {made_by(tensor).name for tensor in graph.outputs}
    pairs = {}
    for layer in graph.layers:
        next_ones = readers.get(layer.name, [])
        if (
            isinstance(layer, CONVOLUTIONS)
            and layer.activation is keras.activations.linear
            and layer.dtype_policy.compute_dtype == "float32"
            and len(next_ones) == 1
            and isinstance(next_ones[0], keras.layers.BatchNormalization)
            and uses[layer.name] == uses[next_ones[0].name] == 1
            and layer.name not in outputs
            and next_ones[0].axis in _channel_axes(layer)
            and next_ones[0].dtype_policy.compute_dtype == "float32"
        ):
            pairs[layer.name] = next_ones[0]
    return pairs


def _channel_axes(layer: keras.layers.Layer) -> tuple[int, ...]:
    return (3, -1) if layer.data_format == "channels_last" else (1, -3)


def _folded(
    layer: keras.layers.Layer, norm: keras.layers.BatchNormalization
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of both."""

    def of(variable: keras.Variable | None, default: float) -> np.ndarray:
        if variable is None:
            return np.asarray(default, np.float64)
        return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)

    scale = of(norm.gamma, 1) / np.sqrt(of(norm.moving_variance, 1) + norm.epsilon)  # (C,)
    bias = (of(layer.bias if layer.use_bias else None, 0) - of(norm.moving_mean, 0)) * scale
    kernel = of(layer.kernel, 0)  # (h, w, in, C), depthwise (h, w, in, multiplier)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        kernel = kernel * scale.reshape(kernel.shape[2:])
    else:
        kernel = kernel * scale
    return kernel.astype(np.float32), (bias + of(norm.beta, 0)).astype(np.float32)


def _copy_weights(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    new.set_weights(old.get_weights())
    for layer in layers_of(new):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with constants made of its weights
