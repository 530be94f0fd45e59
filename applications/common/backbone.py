"""What a network on top of another asks of it."""

from __future__ import annotations

from typing import Any

import keras

from keras_attn.typing import Tensor


def image_and_features(backbone: keras.Model) -> tuple[Tensor, Tensor]:
    """The image that a backbone takes, and its last map; raises a ValueError where it has none.

    Args:
        backbone: A functional model from images to one map, or to a dict of maps, the coarsest
            last.
    """
    inputs, outputs = getattr(backbone, "inputs", None), getattr(backbone, "outputs", None)
    if not inputs or not outputs or len(inputs) != 1:
        raise ValueError(
            "`backbone` must be a functional or a built Sequential model of one input. "
            f"Received: backbone={backbone!r}"
        )
    if len(outputs) > 1 and not isinstance(backbone.output, dict):
        raise ValueError(
            "`backbone` must give one map, or a dict of levels. "
            f"Received: backbone {backbone.name!r} of {len(outputs)} outputs"
        )
    features = [*backbone.output.values()][-1] if len(outputs) > 1 else outputs[0]
    if len(inputs[0].shape) != 4 or len(features.shape) != 4:
        raise ValueError(
            "`backbone` must give features (B, h, w, C) of images (B, H, W, C), as with "
            f"include_top=False. Received: backbone {backbone.name!r} from {inputs[0].shape} to "
            f"{features.shape}"
        )
    return inputs[0], features


def image_shape(
    backbone: keras.Model, input_shape: tuple[int, int, int] | None
) -> tuple[int, int, int]:
    """What images a network on a backbone takes.

    Args:
        backbone: Functional model from images to one map of features.
        input_shape: (H, W, C), where the backbone takes any size.

    Returns:
        (H, W, C), all known.

    Raises:
        ValueError: If the backbone isn't such a model, or the two don't agree.
    """
    image, _ = image_and_features(backbone)
    if len(backbone.outputs) > 1:
        raise ValueError(
            "`backbone` must give one map. "
            f"Received: backbone {backbone.name!r} of {len(backbone.outputs)} outputs"
        )
    return known_shape("the backbone", tuple(image.shape[1:]), input_shape)


def known_shape(
    what: str, own: tuple[Any, ...], input_shape: tuple[int, int, int] | None
) -> tuple[int, int, int]:
    """The shape of images, which a network takes of any size or of its own.

    Args:
        what: What the network is called in the error.
        own: (H, W, C) as it takes them, sides perhaps `None`.
        input_shape: (H, W, C), where it takes any size.

    Returns:
        (H, W, C), all known.

    Raises:
        ValueError: If the two don't agree, or leave a side unknown.
    """
    shape = own if input_shape is None else tuple(input_shape)
    fits = len(shape) == 3 and all(a in (None, b) for a, b in zip(own, shape, strict=True))
    if not fits or None in shape:
        raise ValueError(
            f"`input_shape` must be (H, W, C), all known, as {what} takes them. "
            f"Received: input_shape={input_shape}, {what.removeprefix('the ')} of {own}"
        )
    return shape[0], shape[1], shape[2]
