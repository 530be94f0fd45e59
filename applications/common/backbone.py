"""What a network on top of another asks of it."""

from __future__ import annotations

import keras


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
    inputs, outputs = getattr(backbone, "inputs", None), getattr(backbone, "outputs", None)
    if not inputs or not outputs or len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            "`backbone` must be a functional or a built Sequential model of one input and one "
            f"output. Received: backbone={backbone!r}"
        )
    if len(inputs[0].shape) != 4 or len(outputs[0].shape) != 4:
        raise ValueError(
            "`backbone` must give features (B, h, w, C) of images (B, H, W, C), as with "
            f"include_top=False. Received: backbone {backbone.name!r} from {inputs[0].shape} to "
            f"{outputs[0].shape}"
        )
    own = tuple(inputs[0].shape[1:])
    shape = own if input_shape is None else tuple(input_shape)
    fits = len(shape) == 3 and all(a in (None, b) for a, b in zip(own, shape, strict=True))
    if not fits or None in shape:
        raise ValueError(
            "`input_shape` must be (H, W, C), all known, as the backbone takes them. "
            f"Received: input_shape={input_shape}, backbone of {own}"
        )
    return shape[0], shape[1], shape[2]
