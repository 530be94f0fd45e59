"""From a model and an image to a picture of what an attention layer looked at."""

import os
from pathlib import Path

import keras
import numpy as np

from keras_attn.explain.files import write_png
from keras_attn.explain.maps import attention_layers, run_layers
from keras_attn.explain.pictures import gate_chart, overlay
from keras_attn.layers import attention_by_channel, attention_by_place, attention_form

_FIRST = ("mask", "place_gate", "map", "channel_gate")  # what is drawn where nothing is chosen


def explain(
    model: keras.Model,
    image: np.ndarray,
    out_png: str | os.PathLike[str],
    layer: str | None = None,
    *,
    query: tuple[int, int] | None = None,
) -> Path:
    """Draws what an attention layer of a model looks at in an image, and writes a PNG.

    A mask, and a gate of places, is drawn as its mean over the channels. A self-attention map is
    drawn as the attention that each place receives, or that the place `query` pays, mean over
    the heads. A gate of channels, such as `SqueezeExcite`, has no places: its channels are drawn
    from left to right beside the image, `SelectiveKernel`'s branches one above another.

    Args:
        model: A functional or `Sequential` model, built, that takes `(B, H, W, C)`.
        image: `(H, W, C)` as the model takes it, C being 1 or 3 and the values 0..255.
        out_png: Where the picture goes. It is written whole or not at all.
        layer: The layer's name. `None` means the first mask; without one the first gate of
            places, then the first map, then the first gate of channels.
        query: `(row, column)` in the self-attention map, see
            `keras_attn.layers.attention_by_place`.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: If the model has no attention layer, or not the one asked for, if the image
            doesn't fit the model, or if `query` is no place of a map.

    Example:
        >>> explain(model, read_image("seven.png", (32, 32, 3)), "mask.png")
        PosixPath('mask.png')
    """
    image = np.asarray(image)
    names = attention_layers(model) if layer is None else [layer]
    results = run_layers(model, image[None], names)
    forms = {name: attention_form(model.get_layer(name)) for name in names}
    name = min(names, key=lambda name: _FIRST.index(forms[name]))  # of equals the first
    chosen, form, (output, attention) = model.get_layer(name), forms[name], results[name]
    heat = attention_by_place(chosen, attention, output.shape, query)
    if heat is None:
        gate = np.atleast_2d(
            keras.ops.convert_to_numpy(attention_by_channel(chosen, attention))[0]
        )  # (P, C)
        branches = f", for {len(gate)} branches" if len(gate) > 1 else ""
        what = f"gate of {gate.shape[1]} channels{branches}"
        return write_png(gate_chart(image, gate, title=name, subtitle=what), out_png)
    heat = keras.ops.convert_to_numpy(heat)[0]
    size = f"{heat.shape[0]}x{heat.shape[1]}"
    if form == "map":
        of = "received by each place" if query is None else f"paid by the place {query}"
        what = f"self-attention {size}, {of}, mean of {attention.shape[1]} heads"
    else:
        kind = "attention mask" if form == "mask" else "gate of places"
        axis = 1 if getattr(chosen, "data_format", None) == "channels_first" else -1
        what = f"{kind} {size}, mean of {attention.shape[axis]} channels"
    picture = overlay(image, heat, title=name, subtitle=what, mark=query)
    return write_png(picture, out_png)
