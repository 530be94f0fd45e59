"""The authors' prototxts of Residual Attention Networks, run as they stand, in plain NumPy.

`golden/ran_layers/*.json` list a prototxt's layers: names, types, bottoms and tops, sizes for an
image of 224, and parameters. Two prototxts (56 and NeXt56) are there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from helpers.paths import GOLDEN

FOLDER = GOLDEN / "ran_layers"


def read(name: str) -> list[dict[str, Any]]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def between(layers: list[dict[str, Any]], first: str, last: str) -> list[dict[str, Any]]:
    """The layers behind the one named `first`, up to the one named `last` and its ReLU."""
    names = [layer["name"] for layer in layers]
    start, stop = names.index(first) + 1, names.index(last) + 1
    return layers[start : stop + (names[stop : stop + 1] == [f"{last}/relu"])]


def names_of(model_layers: Iterable[Any], layers: list[dict[str, Any]]) -> dict[str, Any]:
    """Prototxt name -> our convolution, BatchNormalization or classifier.

    Fails where a layer of ours has no name there, or two have the same.
    """
    by_name = {layer["name"]: layer for layer in layers}
    is_next = any("/mask/down/" in name for name in by_name)
    named: dict[str, Any] = {}
    for layer in model_layers:
        name = _name(layer.path, by_name, is_next)
        assert name in by_name, f"{layer.path} would be {name}, which the prototxt lacks"
        assert name not in named, f"{layer.path} and {named[name].path} are both {name}"
        named[name] = layer
    return named


def _name(path: str, by_name: dict[str, Any], is_next: bool) -> str:
    whole = {
        "stem_conv": "conv1",
        "stem_bn": "conv1/bn",
        "final_bn": "post_res_4_3/bn",
        "predictions": "classifier",
    }
    if path in whole:
        return whole[path]
    first, *rest = path.split("/")
    stage, what = first.split("_")  # stage2, unit1 or attention1
    number = int(stage[-1])
    if what.startswith("unit"):
        unit = f"pre_res_{number}" if number < 4 else f"post_res_4_{what[-1]}"
        return _name_in_unit(unit, rest[0], by_name)
    module = f"Attention{'ABC'[number - 1]}_{what[-1]}"
    if len(rest) == 1:
        interp = f"{module}/mask/up{'' if is_next else '_sample'}/interp_1"
        return {
            "mask_bn1": f"{interp}/bn",
            "mask_conv1": f"{module}/mask/linear_1",
            "mask_bn2": f"{module}/mask/linear_1/bn",
            "mask_conv2": f"{module}/mask/linear_2",
        }[rest[0]]
    down, up = ("down", "up") if is_next else ("down_sample", "up_sample")
    depth = {"A": 3, "B": 2, "C": 1}[module[9]]
    unit, index = rest[0].rsplit("_unit", 1) if "_unit" in rest[0] else (rest[0], "")
    level = unit[-1]
    place = {
        "pre": "/trunk/res1",
        "trunk": f"/trunk/res{int(index) + 1}",
        "post": "",
        f"mask_down{level}": f"/mask/{down}/res{level}_{index}",
        "mask_bottom": f"/mask/{down}/res{depth}_{index}",
        f"mask_skip{level}": f"/mask/skip/res{level}",
        f"mask_up{level}": f"/mask/{up}/res{level}_{index}",
    }[unit]
    return _name_in_unit(module + place, rest[1], by_name)


def _name_in_unit(unit: str, layer: str, by_name: dict[str, Any]) -> str:
    convolutions = {
        "conv1": f"{unit}/branch1/conv1_1x1",
        "conv2": f"{unit}/branch1/conv2_3x3",
        "conv3": f"{unit}/branch1/conv3_1x1",
        "projection": f"{unit}/branch2/conv1_1x1",
    }
    if layer in convolutions:
        return convolutions[layer]
    if f"{unit}/branch1/conv3_1x1/bn" in by_name:  # post-activation: each behind its own
        of = layer.replace("projection_bn", "projection").replace("bn", "conv")
        return f"{convolutions[of]}/bn"
    if layer == "bn1":  # pre-activation: what the first convolution reads
        return by_name[convolutions["conv1"]]["bottom"][0]
    return f"{convolutions[{'bn2': 'conv1', 'bn3': 'conv2'}[layer]]}/bn"


def weights_of(named: dict[str, Any]) -> dict[str, list[np.ndarray]]:
    """Prototxt name -> kernel (and bias), or gamma, beta, mean and variance; in float64."""
    return {name: [w.numpy().astype("float64") for w in one.weights] for name, one in named.items()}


def run(
    layers: list[dict[str, Any]], weights: dict[str, list[np.ndarray]], **blobs: np.ndarray
) -> dict[str, np.ndarray]:
    """Runs the layers in inference on blobs of shape (H, W, C); returns all blobs.

    The average pool is global, as the prototxt's is for an image of 224.
    """
    blobs = dict(blobs)
    for layer in layers:
        inputs = [blobs[name] for name in layer["bottom"]]
        blobs[layer["top"][0]] = _FORWARD[layer["type"]](
            layer, weights.get(layer["name"], []), *inputs
        )
    return blobs


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int, pad: int, groups: int) -> np.ndarray:
    """(H, W, C) with a kernel (k, k, C / groups, F): a sum over the kernel's places."""
    size, _, group, filters = kernel.shape
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    rows, columns = ((n - size) // stride + 1 for n in x.shape[:2])
    y = np.zeros((rows, columns, filters))
    for i in range(size):
        for j in range(size):
            patch = x[i : i + stride * rows : stride, j : j + stride * columns : stride][
                :rows, :columns
            ]
            patch = patch.reshape(rows, columns, groups, group)
            taps = kernel[i, j].reshape(group, groups, filters // groups)
            y += np.einsum("hwgc,cgf->hwgf", patch, taps, optimize=True).reshape(y.shape)
    return y


def _pool(layer: dict[str, Any], _weights: list, x: np.ndarray) -> np.ndarray:
    """Caffe's ceil mode; windows that hang over the edge are cut off."""
    if layer["pool"] == "AVE":
        return x.mean(axis=(0, 1), keepdims=True)
    size, stride = layer["kernel"], layer["stride"]
    assert layer["pad"] == 0
    rows, columns = (max(-(-(n - size) // stride) + 1, 1) for n in x.shape[:2])
    starts = [(stride * i, stride * j) for i in range(rows) for j in range(columns)]
    y = [x[i : i + size, j : j + size].max(axis=(0, 1)) for i, j in starts]
    return np.reshape(y, (rows, columns, x.shape[2]))


def _interp(_layer: dict[str, Any], _weights: list, x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Bilinear with aligned corners; the second bottom gives the size alone."""
    for axis in (0, 1):
        n_in, n_out = x.shape[axis], like.shape[axis]
        at = np.linspace(0, n_in - 1, n_out) if n_out > 1 else np.zeros(1)
        x = np.apply_along_axis(lambda v, at=at: np.interp(at, np.arange(len(v)), v), axis, x)
    return x


def _norm(_layer: dict[str, Any], weights: list, x: np.ndarray) -> np.ndarray:
    gamma, beta, mean, variance = weights
    return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta


_FORWARD = {
    "Convolution": lambda layer, weights, x: convolve(
        x, weights[0], layer["stride"], layer["pad"], layer["group"]
    ),
    "BN": _norm,
    "ReLU": lambda _layer, _weights, x: np.maximum(x, 0),
    "Sigmoid": lambda _layer, _weights, x: 1 / (1 + np.exp(-x)),
    "Eltwise": lambda layer, _weights, a, b: a * b if layer["op"] == "PROD" else a + b,
    "Pooling": _pool,
    "Interp": _interp,
    "InnerProduct": lambda _layer, weights, x: x.reshape(-1) @ weights[0] + weights[1],
    "Softmax": lambda _layer, _weights, x: np.exp(x - x.max()) / np.exp(x - x.max()).sum(),
}


def weighty_layers(layer: Any) -> list[Any]:
    """The convolutions, BatchNormalizations and classifiers in a model or a layer."""
    kinds = (keras.layers.Conv2D, keras.layers.BatchNormalization, keras.layers.Dense)
    found = layer._flatten_layers(include_self=False)
    return [one for one in found if isinstance(one, kinds) and one.weights]


def randomize(layer: Any, seed: int = 0) -> None:
    """Random weights and statistics, so that no zero or one hides a mistake."""
    rng = np.random.default_rng(seed)
    for one in weighty_layers(layer):
        if isinstance(one, keras.layers.BatchNormalization):
            channels = one.gamma.shape
            one.gamma.assign(rng.uniform(0.5, 1.0, channels))
            one.beta.assign(rng.normal(0, 0.3, channels))
            one.moving_mean.assign(rng.normal(0, 0.3, channels))
            one.moving_variance.assign(rng.uniform(0.5, 1.5, channels))
