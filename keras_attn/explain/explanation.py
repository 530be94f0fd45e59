"""From a model and an image to a picture of what an attention layer looked at."""

import os
from pathlib import Path

import keras
import numpy as np

from keras_attn.explain.files import write_png
from keras_attn.explain.maps import attention_layers, run_layers
from keras_attn.explain.pictures import map_heat, mask_heat, overlay


def explain(
    model: keras.Model,
    image: np.ndarray,
    out_png: str | os.PathLike[str],
    layer: str | None = None,
    *,
    query: tuple[int, int] | None = None,
) -> Path:
    """Draws what an attention layer of a model looks at in an image, and writes a PNG.

    An `AttentionModule`'s mask is drawn as its mean over the channels. A self-attention map is
    drawn as the attention that each place receives, or that the place `query` pays, mean over
    the heads. A `SqueezeExcite` gate has no places and can't be drawn; see `attention_maps`.

    Args:
        model: A functional or `Sequential` model, built, that takes `(B, H, W, C)`.
        image: `(H, W, C)` as the model takes it, C being 1 or 3 and the values 0..255.
        out_png: Where the picture goes. It is written whole or not at all.
        layer: The layer's name. `None` means the first mask; without one, the first map.
        query: `(row, column)` in the self-attention map, see `map_heat`.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: If the model has no layer that can be drawn, or not the one asked for, or if
            the image doesn't fit the model.

    Example:
        >>> explain(model, read_image("seven.png", (32, 32, 3)), "mask.png")
        PosixPath('mask.png')
    """
    image = np.asarray(image)
    names = attention_layers(model) if layer is None else [layer]
    results = run_layers(model, image[None], names)
    kinds = {name: _kind(*result) for name, result in results.items()}
    drawable = [name for kind in ("mask", "map") for name in names if kinds[name] == kind]
    if not drawable:
        raise ValueError(
            "`layer` must be a layer with a mask or a map over places, such as AttentionModule; a "
            f"gate has none. Received: layer={layer!r} of model {model.name!r}, where "
            f"{', '.join(names)} can't be drawn"
        )
    name = drawable[0]
    output, attention = results[name]
    if kinds[name] == "mask":
        if query is not None:
            raise ValueError(
                "`query` must be None for a mask: it is for self-attention. "
                f"Received: query={query}, layer={name!r}"
            )
        heat = mask_heat(attention[0])
        what = f"attention mask {_by(heat.shape)}, mean of {attention.shape[-1]} channels"
    else:
        size = _places(output, attention) or (0, 0)
        heat = map_heat(attention[0], size, query)
        of = "received by each place" if query is None else f"paid by the place {query}"
        what = f"self-attention {_by(size)}, {of}, mean of {attention.shape[1]} heads"
    picture = overlay(image, heat, title=name, subtitle=what, mark=query)
    return write_png(picture, out_png)


def _kind(output: np.ndarray, attention: np.ndarray) -> str:
    """'mask', 'map' or 'gate': what a layer's attention is, by the shapes of its two outputs."""
    if output.ndim == 4 and attention.ndim == 4:
        if _places(output, attention) is not None:
            return "map"
        if attention.shape == output.shape:
            return "mask"
    return "gate"


def _places(output: np.ndarray, attention: np.ndarray) -> tuple[int, int] | None:
    """(H, W) of a map (B, heads, H W, H W): the output's size, or that size over a stride."""
    height, width = output.shape[1:3]
    for stride in range(1, max(height, width) + 1):
        size = (-(-height // stride), -(-width // stride))
        if attention.shape[2:] == (size[0] * size[1],) * 2:
            return size
    return None


def _by(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"
