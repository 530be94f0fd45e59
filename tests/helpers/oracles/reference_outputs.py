"""Goldens from other sources: what timm and the authors' code computed with random weights.

The files are written by `tests/golden/make_timm.py`, `make_attention_module.py` and
`make_family.py`, and hold the module's state under its own names beside an input and the output,
PyTorch's layout throughout. Those of `make_family.py` have two sizes, and gradients.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from helpers.layer_contract import assert_close
from helpers.paths import GOLDEN

TORCH_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load_source(source, name):
    """`(state, input, output)`, the images as (B, H, W, C)."""
    with np.load(GOLDEN / source / f"{name}.npz") as file:
        state = {key.removeprefix("state:"): file[key] for key in file if key[:6] == "state:"}
        return state, *(file[key].transpose(0, 2, 3, 1) for key in ("input", "output"))


def set_from_source(layer, shape, state, parts):
    """Builds the layer and sets its weights from a PyTorch module's.

    `parts` maps our parts' paths to theirs, `reduce` to `fc1`; every weight is to be used.
    """
    layer.build(shape)
    values, used = [], set()
    for weight in layer.weights:
        part, name = weight.path.split("/", 1)[1].rsplit("/", 1)
        key = f"{parts[part]}.{TORCH_NAMES[name]}"
        used.add(key)
        values.append(to_our_layout(state[key], weight.shape))
    left = {key for key in state if not key.endswith("num_batches_tracked")} - used
    assert not left, f"not used: {left}"
    layer.set_weights(values)


def to_our_layout(array, shape):
    """OIHW -> HWIO, depthwise C1HW -> HWC1, and 1x1 or linear OI -> IO."""
    if array.ndim == 1:
        return array
    if len(shape) == 2:
        return array.reshape(array.shape[:2]).T
    if array.ndim == 3:
        return array.transpose(2, 1, 0)
    is_depthwise = shape[3] == 1 and shape[2] == array.shape[0] > 1
    return array.transpose((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))


def assert_equals_source(layer, name, parts):
    """Outputs and gradients are those of `golden/family/{name}.npz`, at each of its sizes.

    Args:
        layer: The layer, not built.
        name: Name of the file.
        parts: Our weights' paths to theirs. A path may be that of a part with all its weights, as
            in `set_from_source`. Beside their name there may be a function, which brings an array
            into our layout: `{"gamma": ("weight", np.ravel)}`.
    """
    with np.load(GOLDEN / "family" / f"{name}.npz") as file:
        arrays = dict(file)
    state = {key.removeprefix("state:"): arrays[key] for key in arrays if key[:6] == "state:"}
    layer.build((None, None, None, arrays["input:0"].shape[1]))
    theirs = [_source_of(weight, parts) for weight in layer.weights]
    left = {key for key in state if not key.endswith(("num_batches_tracked", "flatten_index"))}
    assert left == {key for key, _ in theirs}, left ^ {key for key, _ in theirs}
    layer.set_weights(
        [
            to_ours(state[key], weight.shape)
            for weight, (key, to_ours) in zip(layer.weights, theirs, strict=True)
        ]
    )
    number = sum(key.startswith("input:") for key in arrays)
    assert number == 2
    for i in range(number):
        x, y, upstream, dx = (
            image_to_last(arrays[key])
            for key in (f"input:{i}", f"output:{i}", f"upstream:{i}", f"gradient:{i}:input")
        )
        inputs = tf.Variable(x)
        with tf.GradientTape() as tape:
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs * upstream)
        assert_close(outputs.numpy(), y)
        gradients = tape.gradient(loss, [inputs, *[w.value for w in layer.weights]])
        greatest = max(np.abs(arrays[key]).max() for key in arrays if f"gradient:{i}:" in key)
        assert_close(gradients[0].numpy(), dx)
        for weight, (key, to_ours), got in zip(layer.weights, theirs, gradients[1:], strict=True):
            if weight.trainable:
                expected = to_ours(arrays[f"gradient:{i}:{key}"], weight.shape)
                if np.abs(expected).max() < 1e-9 * greatest:  # zero: a softmax doesn't see it
                    assert np.abs(got).max() < 1e-6 * greatest
                else:
                    assert_close(got.numpy(), expected)


def _source_of(weight, parts):
    """Their name of one of our weights, and what brings an array of theirs into our layout."""
    path = weight.path.split("/", 1)[1]
    part, _, name = path.rpartition("/")
    given = parts[path] if path in parts else parts[part]
    key, function = given if isinstance(given, tuple) else (given, None)
    if path not in parts:
        key = f"{key}.{TORCH_NAMES[name]}"
    if function is None:
        return key, to_our_layout
    return key, lambda array, shape: function(array).reshape(shape)


def image_to_last(x):
    """(B, C, H, W) -> (B, H, W, C); what isn't an image stays."""
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
