"""Goldens from other sources: what timm and the authors' code computed with random weights.

The files are written by `tests/golden/make_timm.py` and `make_attention_module.py`, and hold the
module's state under its own names beside an input and the output, PyTorch's layout throughout.
"""

from __future__ import annotations

import numpy as np

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
