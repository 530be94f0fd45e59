"""What attention layers look at, as heat and as bars."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_attn.explain.maps import run_layers, to_numpy
from keras_attn.explain.scale import GATE, SHARE, WIDE_GATE, Scale
from keras_attn.explain.watching import attention_layers_by_name
from keras_attn.layers import attention_by_channel, attention_by_place, attention_form


def attention_stages(model: keras.Model, *, by_place: bool = True) -> list[str]:
    """The last attention layer of each size of output, in the model's order.

    Args:
        model: The model.
        by_place: Whether attention by place is meant, or gates of channels. Boxes are neither.

    Returns:
        Names of layers; none where the model has no such attention.
    """
    last: dict[Any, str] = {}
    for name, layer in attention_layers_by_name(model).items():
        form = attention_form(layer)
        if form != "boxes" and (form != "channel_gate") == by_place:
            shape = output_shape(layer) or name
            last.pop(shape, None)
            last[shape] = name
    return list(last.values())


def output_shape(layer: keras.layers.Layer) -> tuple[int | None, ...] | None:
    """The shape of a layer's output, or `None` where it has several or is used several times."""
    try:
        return tuple(layer.output.shape)
    except (AttributeError, ValueError):
        return None


def attention_heat(
    model: keras.Model,
    images: np.ndarray,
    name: str,
    *,
    query: tuple[int, int] | None = None,
    head: int | None = None,
) -> tuple[np.ndarray, Scale]:
    """A layer's attention of each place.

    Args:
        model: The model.
        images: (B, H, W, C).
        name: The layer's name.
        query: `(row, column)` of a map's query.
        head: A map's head, or one of a place's gates; `None` means the mean over all.

    Returns:
        float32 (B, h, w), and the scale to draw it on.

    Raises:
        ValueError: If it is no attention layer or a gate of channels, or if the head or the query
            don't fit.
    """
    output, attention = run_layers(model, images, [name])[name]
    layer = attention_layers_by_name(model)[name]
    form = attention_form(layer)
    if form == "boxes":
        raise ValueError(
            "`layer` must have attention by place here; boxes are drawn by `explain`. "
            f"Received: layer={name!r}"
        )
    if form == "channel_gate" and query is None and head is None:
        raise ValueError(
            "`layer` must have attention by place here; a gate of channels is drawn as bars by "
            f"`explain`, and given by `channel_gates`. Received: layer={name!r}"
        )
    if head is not None:
        axis = _axis_of_heads(layer, attention)
        if axis is None:
            raise ValueError(
                f"`head` must be None for a {form.replace('_', ' ') if form else form}: it is for "
                f"self-attention. Received: head={head}, layer={name!r}"
            )
        heads = attention.shape[axis]
        if not 0 <= head < heads:
            raise ValueError(f"`head` must be from 0 to {heads - 1}. Received: head={head}")
        attention = attention.take([head], axis)
    heat = to_numpy(attention_by_place(layer, attention, output.shape, query))
    shares = form == "map" or (
        heat[0].size > 1 and np.allclose(heat.sum(axis=(1, 2)), 1, atol=1e-3)
    )
    return heat, SHARE if shares else GATE if attention.max() <= 1 else WIDE_GATE


def _axis_of_heads(layer: Any, attention: np.ndarray) -> int | None:
    """Where an attention has several heads, or gates at each place; `None` where it has not."""
    form = attention_form(layer)
    if form == "map":
        return 1
    is_last = getattr(layer, "data_format", "channels_last") != "channels_first"
    axis = 3 if is_last else 1
    several = form == "place_gate" and attention.ndim == 4 and attention.shape[axis] > 1
    return axis if several else None


def channel_gates(model: keras.Model, images: np.ndarray, name: str) -> np.ndarray:
    """A layer's gate of channels.

    Args:
        model: The model.
        images: (B, H, W, C), as the model takes them.
        name: The layer's name.

    Returns:
        float32 (B, P, C), with P gates of each channel: 1, or one for each branch.

    Raises:
        ValueError: If it is no layer with a gate of channels.

    Example:

    >>> model = keras_attn.applications.CIFARResNet(8, attention="se")
    >>> channel_gates(model, np.zeros((2, 32, 32, 3)), "stage3_block1_se").shape
    (2, 1, 64)
    """
    attention = run_layers(model, images, [name])[name][1]
    layer = attention_layers_by_name(model)[name]
    if attention_form(layer) != "channel_gate":
        raise ValueError(
            "`name` must be a layer with a gate of channels. "
            f"Received: name={name!r}, a {attention_form(layer)}"
        )
    gate = to_numpy(attention_by_channel(layer, attention))
    return gate[:, None] if gate.ndim == 2 else gate
