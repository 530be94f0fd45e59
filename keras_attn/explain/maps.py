"""What the attention layers of a model computed for given images."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_attn.explain.watching import (
    attention_layers_by_name,
    layers_by_name,
    record_attention,
    replaced_calls,
)
from keras_attn.typing import Tensor


def attention_maps(
    model: keras.Model, images: np.ndarray, layers: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Gives the gates, masks and maps that a model's attention layers use on a batch of images.

    Such a layer is one that says its `attention_form`, see `keras_attn.layers.contract`. A gate
    of channels is `(B, 1, 1, C)`, a mask `(B, H, W, C)`, a map `(B, num_heads, H * W, H * W)`,
    each row of which sums to 1 where it is a softmax's.
    The model is left as it was. A layer that is used in several places is shown at the first. One
    in a nested model is named `"outer/inner"`; one inside another layer is not shown.

    Args:
        model: A functional or `Sequential` model, built.
        images: `(B, H, W, C)`, as the model takes them.
        layers: The names of the layers to show. `None` means every attention layer.

    Returns:
        The attention of each layer by the layer's name, in the model's order or the order of
        `layers`, as its `call` returns it (float32).

    Raises:
        ValueError: If the model isn't functional, has no attention layer, has none of a given
            name, or doesn't take such images.

    Example:
        >>> maps = attention_maps(model, images, layers=["stage1_attention"])
        >>> maps["stage1_attention"].shape
        (1, 32, 32, 64)
    """
    names = attention_layers(model) if layers is None else layers
    return {name: attention for name, (_, attention) in run_layers(model, images, names).items()}


def attention_layers(model: keras.Model) -> list[str]:
    """Lists the names of a model's attention layers, in the model's order.

    Args:
        model: A functional or `Sequential` model, built.

    Returns:
        The names of its layers that say their `attention_form`; at least one.

    Raises:
        ValueError: If the model isn't functional or has no such layer.
    """
    if not isinstance(model, keras.Model) or not _is_functional(model):
        raise ValueError(
            "`model` must be a functional or a built Sequential keras.Model, whose graph says "
            f"what each layer is given. Received: model={model!r}"
        )
    names = list(attention_layers_by_name(model))
    if not names:
        kinds = sorted({type(layer).__name__ for layer in layers_by_name(model).values()})
        raise ValueError(
            "`model` must have a layer that says its `attention_form`, such as AttentionModule. "
            f"Received: model {model.name!r} with layers {', '.join(kinds)}"
        )
    return names


def run_layers(
    model: keras.Model, images: np.ndarray, names: Sequence[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Gives the output and the attention of each named layer: see `attention_maps`."""
    known = attention_layers(model)
    if isinstance(names, str) or not names or not all(name in known for name in names):
        raise ValueError(
            f"`layers` must be names of the model's attention layers, {', '.join(known)}. "
            f"Received: layers={names!r}"
        )
    images = check_images(model, images)
    layers = attention_layers_by_name(model)
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    with replaced_calls({name: (layers[name], record_attention(seen, name)) for name in names}):
        model(keras.ops.convert_to_tensor(images, "float32"), training=False)
    return {name: keras.tree.map_structure(to_numpy, seen[name]) for name in names}


def check_images(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The images as an array; raises a ValueError where the model doesn't take them."""
    images = np.asarray(images)
    if not isinstance(model, keras.Model) or not _is_functional(model):
        raise ValueError(
            "`model` must be a functional or a built Sequential keras.Model. "
            f"Received: model={model!r}"
        )
    if len(model.inputs) != 1:
        given = ", ".join(x.name for x in model.inputs)
        raise ValueError(
            f"`model` must have one input, the image. Received: model {model.name!r} with {given}"
        )
    shape = tuple(model.inputs[0].shape)
    if (
        images.ndim != len(shape)
        or not images.shape[0]
        or any(size not in (None, given) for size, given in zip(shape, images.shape, strict=True))
    ):
        raise ValueError(
            f"`images` must be a batch of what the model takes, {shape}. "
            f"Received: images with shape {images.shape}"
        )
    return images


def _is_functional(model: keras.Model) -> bool:
    try:
        return bool(model.inputs) and bool(model.outputs)
    except (AttributeError, ValueError):  # a subclassed model, a Sequential before it is built
        return False


def to_numpy(tensor: object) -> np.ndarray:
    """A float32 array."""
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))
