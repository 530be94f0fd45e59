"""From a model and images to a picture of what the model looks at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from keras_attn.explain.attention import attention_stages, channel_gates
from keras_attn.explain.drawing.captions import captions_sheet
from keras_attn.explain.drawing.files import write_png
from keras_attn.explain.drawing.pictures import blend, panel_of
from keras_attn.explain.drawing.sheet import bars_panel, boxes_panel, plain_panel, sheet
from keras_attn.explain.heat_maps import HeatMaps, heat_maps, method_for, predicted
from keras_attn.explain.maps import (
    attention_layers,
    attention_maps,
    check_images,
    run_layers,
)
from keras_attn.explain.methods.gradients import CAMS, map_stages
from keras_attn.explain.scale import GATE, WIDE_GATE
from keras_attn.explain.targets import Target, gives_scores
from keras_attn.explain.watching import attention_layers_by_name, layers_by_name
from keras_attn.layers import attention_form
from keras_attn.layers.contract import Form


def explain(
    model: keras.Model,
    image: np.ndarray,
    out_png: str | os.PathLike[str],
    layer: str | None = None,
    *,
    method: str | None = None,
    target: Target | Sequence[Target] = None,
    head: int | None = None,
    query: tuple[int, int] | None = None,
    class_names: Sequence[str] | None = None,
    pixels: np.ndarray | None = None,
    **options: Any,
) -> Path:
    """Draws what a model looks at in an image, or in several, and writes a PNG.

    The colours' scale is fixed, so that pictures can be compared: 0 to 1 for masks and gates, or 0
    to 2 where a gate is above 1; 0 to 4 times the image's mean for what is a share, such as
    self-attention and Grad-CAM. Under each image stand its class and the class's probability.

    A gate of channels, such as `SqueezeExcite`, has no places: its channels are drawn as bars from
    left to right, `SelectiveKernel`'s branches one above another. Where the attention is boxes, as
    `RecurrentGlimpses` gives, they are drawn over the image, the first blue, the last yellow. Of a
    caption there is a panel for each word, and `class_names` are the words.

    Args:
        model: A functional or `Sequential` model, built, that takes `(B, H, W, C)`.
        image: `(H, W, C)` as the model takes it, C being 1 or 3; or `(B, H, W, C)`.
        out_png: Where the picture goes. It is written whole or not at all.
        layer: The layer's name, or `"all"` for the last layer of each stage. By default those of
            attention, and the last one of Grad-CAM.
        method: See `heat_maps`. By default attention, if `layer` has it; Grad-CAM, if it hasn't;
            and without `layer` the network's attention by place, without that Grad-CAM of a
            classifier, and gates of channels otherwise.
        target: The class by number or name, or a sequence of one for each image. By default the
            most likely one of each.
        head: A self-attention map's head, see `heat_maps`; by default the mean over all.
        query: `(row, column)` in the self-attention map, see
            `keras_attn.layers.attention_by_place`.
        class_names: The names of the classes.
        pixels: The image to draw, values 0..255, where the model takes other values than pixels;
            of `image`'s shape.
        **options: See `heat_maps`.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: If an argument doesn't fit the model.

    Example:
        >>> explain(model, read_image("seven.png", (32, 32, 3)), "mask.png")
        PosixPath('mask.png')
    """
    images, drawn = _batch(image), _batch(image if pixels is None else pixels)
    if drawn.shape[0] != images.shape[0]:
        raise ValueError(
            f"`pixels` must be of as many images as `image`, {len(images)}. Received: {len(drawn)}"
        )
    images = check_images(model, images)
    if method in (None, "attention") and (looking := _looking(model, layer)):
        return write_png(_boxes(model, images, drawn, looking), out_png)
    if method in (None, "attention") and (looking := _looking(model, layer, "steps")):
        return write_png(_steps(model, images, drawn, looking, class_names), out_png)
    if method is None:
        method = _method(model, layer)
    if method == "attention":
        attention_layers(model)  # raises where there are none
    layers = _layers(model, method, layer)
    if (
        method == "attention"
        and _has_channel_gate(model, layers[0])
        and query is None
        and head is None
    ):
        return write_png(_gates(model, images, drawn, layers, target, class_names), out_png)
    arguments = {"target": target, "class_names": class_names, **options}
    if method == "attention":
        arguments |= {"head": head, "query": query}
    found = [heat_maps(model, images, method, layer=each, **arguments) for each in layers]
    return write_png(_heat(drawn, found, class_names, head, query), out_png)


def _batch(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    return image if image.ndim == 4 else image[None]


def _method(model: keras.Model, layer: str | None) -> str:
    attending = attention_layers_by_name(model)
    if layer in attending or (layer is None and attending and not gives_scores(model)):
        return "attention"
    return "grad_cam" if layer in layers_by_name(model) else method_for(model)


def _layers(model: keras.Model, method: str, layer: str | None) -> Sequence[str | None]:
    if layer not in (None, "all"):
        return [layer]
    if method == "attention":
        return attention_stages(model) or attention_stages(model, by_place=False)
    return map_stages(model) if layer == "all" and method in CAMS else [None]


def _has_channel_gate(model: keras.Model, name: str | None) -> bool:
    layers = attention_layers_by_name(model)
    return name in layers and attention_form(layers[name]) == "channel_gate"


def _looking(model: keras.Model, layer: str | None, form: Form = "boxes") -> str | None:
    """The layer that is drawn in a way of its own: the one that is asked for, or the last of all.

    A caption's steps are what such a network is for; boxes are drawn where there is nothing else.
    """
    forms = {name: attention_form(each) for name, each in attention_layers_by_name(model).items()}
    if layer is None and forms:
        last = list(forms)[-1]
        layer = last if form == "steps" or set(forms.values()) == {form} else None
    return layer if layer is not None and forms.get(layer) == form else None


def _boxes(model: keras.Model, images: np.ndarray, drawn: np.ndarray, name: str) -> Image.Image:
    boxes = attention_maps(model, images, [name])[name]
    steps = boxes.shape[1]
    return sheet(
        [
            [panel_of(image), boxes_panel(image, each)]
            for image, each in zip(drawn, boxes, strict=True)
        ],
        ["image", "looked at"],
        ["image"] * len(images),
        title=name,
        subtitle=f"looked at {steps} places, in turn" if steps > 1 else "looked at 1 place",
        ends=("1", str(steps)),
        unit="which look",
    )


def _steps(
    model: keras.Model,
    images: np.ndarray,
    drawn: np.ndarray,
    name: str,
    words: Sequence[str] | None,
) -> Image.Image:
    """A panel for each step of a caption, which ends where nothing is looked at any more."""
    output, attention = run_layers(model, images, [name])[name]
    captions = [
        [str(token) if words is None else words[int(token)] for token in written if token > 0]
        for written in output["tokens"].astype(int)
    ]
    return captions_sheet(drawn, captions, attention, name)


def _gates(
    model: keras.Model,
    images: np.ndarray,
    drawn: np.ndarray,
    layers: Sequence[str | None],
    target: Any,
    class_names: Sequence[str] | None,
) -> Image.Image:
    gates = {str(name): channel_gates(model, images, str(name)) for name in layers}
    scale = GATE if max(gate.max() for gate in gates.values()) <= 1 else WIDE_GATE
    classes, probabilities = predicted(model, images, target, class_names)
    rows = [
        [panel_of(image)]
        + [bars_panel(image, scale.of(gate[index : index + 1])[0]) for gate in gates.values()]
        for index, image in enumerate(drawn)
    ]
    columns = [f"{name}, {gate.shape[2]} channels" for name, gate in gates.items()]
    return sheet(
        rows,
        ["image", *columns],
        [_caption(*each, class_names) for each in zip(classes, probabilities, strict=True)],
        title=", ".join(gates),
        subtitle="gates of channels, from left to right",
        ends=(f"{scale.low:g}", f"{scale.high:g}"),
        unit=scale.unit,
    )


def _heat(
    drawn: np.ndarray,
    found: Sequence[HeatMaps],
    class_names: Sequence[str] | None,
    head: int | None,
    query: tuple[int, int] | None,
) -> Image.Image:
    first, rows = found[0], []
    for index, image in enumerate(drawn):
        panels = [panel_of(image)]
        for each in found:
            shown = each.shown[index]
            if len(found) == 1:
                panels.append(plain_panel(image, shown, query))
            panels.append(blend(image, shown, scale=(0, 1)))
        rows.append(panels)
    sizes = [f"{each.heat.shape[1]}x{each.heat.shape[2]}" for each in found]
    columns = (
        [first.method, "over the image"]
        if len(found) == 1
        else [f"{each.layer} {size}" for each, size in zip(found, sizes, strict=True)]
    )
    of = [] if head is None else [f"head {head}"]
    of += [] if query is None else [f"paid by the place {query}"]
    scale = first.scale
    return sheet(
        rows,
        ["image", *columns],
        [
            _caption(*each, class_names)
            for each in zip(first.classes, first.probabilities, strict=True)
        ],
        title=", ".join(each.layer or each.method for each in found),
        subtitle=", ".join([first.method, *sizes[:1], *of] if len(found) == 1 else [first.method]),
        ends=(f"{scale.low:g}", f"{scale.high:g}"),
        unit=scale.unit,
    )


def _caption(number: int, probability: float, class_names: Sequence[str] | None) -> str:
    if number < 0:
        return "image"
    name = f"class {number}" if class_names is None else class_names[number]
    return f"{name}, {100 * probability:.1f} %"
