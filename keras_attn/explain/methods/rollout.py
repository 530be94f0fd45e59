"""Self-attention of all layers, one through another."""

from __future__ import annotations

import keras
import numpy as np

from keras_attn.explain.maps import run_layers
from keras_attn.explain.watching import attention_layers_by_name
from keras_attn.layers import attention_form


def rollout(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Abnar and Zuidema, ACL 2020, equation 1, through the stages of a convolutional network.

    Each layer passes on half of what it is given, and half by its map, mean over the heads. Where a
    stage's grid is smaller than the one before, each of its places stands for the mean of those
    that it covers. What convolutions mix beside is left out.

    Args:
        model: A model with layers whose attention is a map from each place to each.
        images: (B, H, W, C), as the model takes them.

    Returns:
        float32 (B, h, w) on the first such layer's grid: what each place gives to the last layer's
        output, mean over its places. It sums to 1.

    Raises:
        ValueError: If the model has no such layer.
    """
    layers = attention_layers_by_name(model)
    names = [name for name, layer in layers.items() if attention_form(layer) == "map"]
    results = run_layers(model, images, names) if names else {}
    total: np.ndarray | None = None
    first = last = (0, 0)
    for name, (output, attention) in results.items():
        is_last = getattr(layers[name], "data_format", "channels_last") != "channels_first"
        grid = output.shape[1:3] if is_last else output.shape[2:4]
        if attention.ndim != 4 or attention.shape[2] != attention.shape[3]:
            continue  # of blocks to their surroundings, or to a coarser grid
        places = attention.shape[2]
        if places != grid[0] * grid[1]:  # it strides by pooling its attention's input
            continue
        mixed = 0.5 * attention.mean(axis=1) + 0.5 * np.eye(places, dtype="float32")  # (B, N, N)
        if total is None:
            total, first = mixed, grid
        else:
            total = mixed @ (_pooled(total, last, grid) if grid != last else total)
        last = grid
    if total is None:
        raise ValueError(
            "`model` must have layers whose attention is a map from each place to each, such as "
            f"SelfAttention2D, for rollout. Received: model {model.name!r}"
        )
    return np.asarray(total.mean(axis=1).reshape(-1, *first), "float32")


def _pooled(rows: np.ndarray, old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """The rows of a smaller grid's places: means over the rows of the old one's that they cover."""
    grid = rows.reshape(len(rows), *old, -1)
    for axis, (before, after) in enumerate(zip(old, new, strict=True), start=1):
        edges = [index * before // after for index in range(after + 1)]
        parts = [
            np.take(grid, range(low, max(high, low + 1)), axis).mean(axis, keepdims=True)
            for low, high in zip(edges[:-1], edges[1:], strict=True)
        ]
        grid = np.concatenate(parts, axis)
    return grid.reshape(len(rows), new[0] * new[1], -1)
