"""The stages of a network, from the image to the classes, and freezing the first of them."""

import fnmatch
import re
from collections.abc import Mapping, Sequence

import keras

from keras_attn._keras import layers_of

# What a layer's name begins with: `stage2` of stage2_block1_conv1, `conv4` of conv4_block1_1_conv,
# `block_13` of block_13_expand.
_PREFIX = re.compile(r"block_\d+|[^_]+")


def find_stages(
    model: keras.Model, stages: Mapping[str, str | Sequence[str]] | None = None
) -> dict[str, list[str]]:
    """Lists the stages of a network with their layers, from the first to the head.

    Args:
        model: Functional or Sequential model.
        stages: Name of a stage -> pattern, or patterns, of the names of its layers, as in
            `fnmatch`; a layer belongs to the first that fits. Default: what the layers' names
            begin with, which is right for the networks of `keras_attn.applications`
            (`stem`, `stage1`, ..., `predictions`) and most of keras.applications.

    Returns:
        Name of a stage -> the names of its layers that have weights, both in the graph's order.

    Raises:
        ValueError: If a stage has no layer with weights, or such a layer is in none.

    Example:

    >>> stages = find_stages(keras_attn.applications.CIFARResNet(20, attention="se"))
    >>> list(stages)
    ['stem', 'stage1', 'stage2', 'stage3', 'predictions']
    """
    if not isinstance(model, keras.Model) or not model.layers:
        raise ValueError(
            "`model` must be a functional or a built Sequential keras.Model, whose layers are the "
            f"stages. Received: model={model!r}"
        )
    named = [layer.name for layer in model.layers if layer.weights and not _is_fixed(layer)]
    if stages is None:
        found: dict[str, list[str]] = {}
        for name in named:
            found.setdefault(_PREFIX.match(name).group(), []).append(name)  # type: ignore[union-attr]
        return found
    patterns = {key: [p] if isinstance(p, str) else list(p) for key, p in stages.items()}
    found = {key: [] for key in patterns}
    left: list[str] = []
    for name in named:
        fits = [
            key for key, ps in patterns.items() if any(fnmatch.fnmatchcase(name, p) for p in ps)
        ]
        (found[fits[0]] if fits else left).append(name)
    if left:
        raise ValueError(
            "`stages` must have each layer with weights in one. Received: no stage for "
            f"{', '.join(left[:5])}{' ...' if len(left) > 5 else ''}"
        )
    if empty := [key for key, names in found.items() if not names]:
        raise ValueError(
            "`stages` must each have a layer with weights. Received: none for "
            f"{', '.join(empty)}; layers {', '.join(named[:3])} ... {named[-1]}"
        )
    return found


def freeze(
    model: keras.Model,
    through: str | None,
    stages: Mapping[str, str | Sequence[str]] | None = None,
) -> list[str]:
    """Freezes the first stages of a network, and only those.

    A frozen layer's weights stay, and so do the moving statistics of its BatchNormalization,
    which runs in inference mode then. Compile the model afterwards.

    Args:
        model: Functional or Sequential model.
        through: Last stage that is frozen; `None` freezes none.
        stages: Same as in `find_stages`.

    Returns:
        The names of the frozen stages.

    Raises:
        ValueError: If there is no such stage.

    Example:

    >>> freeze(keras_attn.applications.CIFARResNet(20), "stage1")
    ['stem', 'stage1']
    """
    found = find_stages(model, stages)
    if through is not None and through not in found:
        raise ValueError(
            f"`through` must be one of {', '.join(map(repr, found))}. Received: through={through!r}"
        )
    frozen = list(found)[: list(found).index(through) + 1] if through is not None else []
    for stage, names in found.items():
        for name in names:
            # Each part by itself: on TensorFlow, to set the value that a layer has does nothing,
            # and parts of one that was read from a file may differ, as Keras's attention's do.
            for part in layers_of(model.get_layer(name)):
                part.trainable = stage not in frozen
    return frozen


def _is_fixed(layer: keras.layers.Layer) -> bool:
    """Whether a layer is never trained: its statistics are the data's."""
    return isinstance(layer, keras.layers.Normalization)
