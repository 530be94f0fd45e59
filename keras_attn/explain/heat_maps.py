"""Where a network looks, by every method, as arrays: pictures, reports and servers draw them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from keras_attn._checks import check_one_of
from keras_attn._hints import did_you_mean
from keras_attn.explain.attention import attention_heat, attention_stages
from keras_attn.explain.maps import attention_layers, check_images, to_numpy
from keras_attn.explain.methods.gradients import (
    CAMS,
    channels_last,
    gradient_of_map,
    integrated_gradients,
    last_map,
    outputs_and_map,
)
from keras_attn.explain.methods.occlusion import occlusion
from keras_attn.explain.methods.rollout import rollout
from keras_attn.explain.scale import SHARE, SIGNED_SHARE, Scale
from keras_attn.explain.targets import (
    Target,
    check_scores,
    find_classes,
    gives_scores,
    probabilities_of,
)
from keras_attn.explain.watching import layers_by_name

PIXELS: dict[str, Callable[..., np.ndarray]] = {
    "integrated_gradients": lambda *args, **options: integrated_gradients(*args, **options)[0].sum(
        axis=-1
    ),
    "occlusion": occlusion,
}
METHODS = ("attention", "rollout", *CAMS, *PIXELS)


@dataclass(frozen=True)
class HeatMaps:
    """Where a network looks in each image of a batch.

    Attributes:
        heat: float32 (B, h, w), of the method's own grid and unit. Integrated gradients and
            occlusion are negative where a place speaks against the class.
        classes: int64 (B,), the class that each is about; -1 where attention is shown of a model
            that has no classes.
        probabilities: float32 (B,), that class's.
        method: One of `METHODS`.
        layer: The layer whose places they are; `None` where they are the image's pixels, or come
            from all layers.
        scale: How heat becomes colour, the same for every image.
    """

    heat: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    method: str
    layer: str | None
    scale: Scale

    @property
    def shown(self) -> np.ndarray:
        """float32 (B, h, w), 0 to 1: the heat on the scale, for a colour map."""
        return self.scale.of(self.heat)


def heat_maps(
    model: keras.Model,
    images: np.ndarray,
    method: str | None = None,
    *,
    layer: str | None = None,
    target: Target | Sequence[Target] = None,
    head: int | None = None,
    query: tuple[int, int] | None = None,
    class_names: Sequence[str] | None = None,
    **options: Any,
) -> HeatMaps:
    """Shows where a classifier looks, whether it has attention or not.

    It takes any functional or `Sequential` model, keras.applications' and reloaded ones, too. The
    score that gradients are taken of is the class's own before a softmax or sigmoid.

    | method | what it shows | source |
    |---|---|---|
    | `"attention"` | an attention layer's mask, gate of places or map, whatever the class | its own |
    | `"rollout"` | self-attention of all layers, one through another | Abnar and Zuidema, ACL 2020 |
    | `"grad_cam"` | a layer's channels, each by its gradient's mean | Selvaraju et al., ICCV 2017 |
    | `"grad_cam++"` | the same, by positive gradients weighted by place | Chattopadhay et al., WACV 2018 |
    | `"hires_cam"` | each place of a layer by its own gradient | Draelos and Carin, 2020 |
    | `"integrated_gradients"` | each pixel's share in the score | Sundararajan et al., ICML 2017 |
    | `"occlusion"` | what the score loses where a patch is covered | Zeiler and Fergus, ECCV 2014 |

    Args:
        model: A classifier, whose output is (B, K).
        images: (B, H, W, C), as the model takes them.
        method: One of the table's. By default attention where a layer has it by place, and Grad-CAM
            where none has.
        layer: Name of the layer; `"outer/inner"` in a nested model. By default the last with
            attention by place, or for Grad-CAM and its kin the last whose output is a map.
        target: The class by number or name, or a sequence of one for each image. By default the
            most likely one of each.
        head: A map's head, from 0 on, or one of several gates of places, such as a scale of
            `ScaleAttention`. By default the mean over all, and of scales the first.
        query: `(row, column)` in a map, see `keras_attn.layers.attention_by_place`.
        class_names: The names of the K classes.
        **options: `baseline` and `nodes` of integrated gradients; `patch`, `stride` and
            `batch_size` of occlusion.

    Returns:
        The heat of each image, its class, that class's probability, and the scale.

    Raises:
        ValueError: If the model, the images, the layer, the class, the head or the query don't fit.

    Example:

    >>> model = keras_attn.applications.CIFARResNet(8, attention="se")
    >>> found = heat_maps(model, np.zeros((2, 32, 32, 3)), target=3)
    >>> found.heat.shape, found.method, found.layer
    ((2, 8, 8), 'grad_cam', 'P2')
    """  # noqa: E501
    images = check_images(model, images)
    method = method_for(model) if method is None else method
    check_one_of("method", method, METHODS)
    _check_options(method, layer=layer, head=head, query=query, **options)
    if method not in ("attention", "rollout") or target is not None:
        check_scores(model)
    if method in CAMS:
        return _cam(model, images, method, layer, target, class_names)
    classes, probabilities = predicted(model, images, target, class_names)
    found = partial(HeatMaps, classes=classes, probabilities=probabilities, method=method)
    if method == "attention":
        names = attention_stages(model) or attention_layers(model)  # which raises without any
        layer = names[-1] if layer is None else layer
        heat, scale = attention_heat(model, images, layer, query=query, head=head)
        return found(heat, layer=layer, scale=scale)
    if method == "rollout":
        return found(rollout(model, images), layer=None, scale=SHARE)
    heat = PIXELS[method](model, images, classes, **options)
    return found(heat.astype("float32"), layer=None, scale=SIGNED_SHARE)


def _cam(
    model: keras.Model,
    images: np.ndarray,
    method: str,
    layer: str | None,
    target: Target | Sequence[Target],
    class_names: Sequence[str] | None,
) -> HeatMaps:
    """Grad-CAM and its kin: two passes forward and one backward."""
    layers = layers_by_name(model)
    layer = last_map(model) if layer is None else layer
    if layer not in layers:
        raise ValueError(
            f"`layer` must be the name of a layer, such as {last_map(model)!r}. "
            f"Received: layer={layer!r}{did_you_mean(layer, list(layers))}"
        )
    chosen = layers[layer]
    outputs, first = outputs_and_map(model, images, chosen)
    classes = find_classes(target, outputs, class_names)
    gradient = gradient_of_map(model, images, chosen, first.shape, classes)
    heat = CAMS[method](channels_last(chosen, first), channels_last(chosen, gradient))
    probabilities = probabilities_of(outputs)[np.arange(len(images)), classes]
    return HeatMaps(heat.astype("float32"), classes, probabilities, method, layer, SHARE)


def predicted(
    model: keras.Model,
    images: np.ndarray,
    target: Target | Sequence[Target] = None,
    class_names: Sequence[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Each image's class (B,) and its probability (B,); -1 and NaN of a model without classes."""
    if not gives_scores(model):
        return np.full(len(images), -1), np.full(len(images), np.nan, "float32")
    outputs = to_numpy(model(keras.ops.convert_to_tensor(images, "float32"), training=False))
    classes = find_classes(target, outputs, class_names)
    return classes, probabilities_of(outputs)[np.arange(len(images)), classes]


def method_for(model: keras.Model) -> str:
    """What suits a network: its attention by place where it has that, and Grad-CAM otherwise."""
    return "attention" if attention_stages(model) else "grad_cam"


def _check_options(method: str, **options: Any) -> None:
    """Raises a ValueError for an option that is another method's."""
    owners = {
        "layer": ("attention", *CAMS),
        "head": ("attention",),
        "query": ("attention",),
        "baseline": ("integrated_gradients",),
        "nodes": ("integrated_gradients",),
        "patch": ("occlusion",),
        "stride": ("occlusion",),
        "batch_size": ("occlusion",),
    }
    for name, value in options.items():
        check_one_of("options", name, tuple(owners))
        if value is not None and method not in owners[name]:
            raise ValueError(
                f"`{name}` must be None unless `method` is one of {', '.join(owners[name])}. "
                f"Received: {name}={value!r}, method={method!r}"
            )
