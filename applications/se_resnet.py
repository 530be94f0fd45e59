"""Residual networks with Squeeze-and-Excitation (Hu et al., CVPR 2018)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_attn.applications.common.construction import (
    Arguments,
    check_attention,
    construct,
    constructor,
)
from keras_attn.applications.common.preprocessing import IMAGENET
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.common.residual_network import (
    PLACES,
    RESNETS,
    Block,
    BlockAttention,
    Variant,
    check_geometry,
    check_stages,
    residual_features,
)
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.layers import SqueezeExcite

# The authors' prototxts (github.com/hujie-frank/SENet): both have the stride in the 3x3.
RESNEXTS = {
    50: Variant("resnext50", (3, 4, 6, 3), widths=(2, 2), groups=32, caffe_strides_first=False),
    101: Variant("resnext101", (3, 4, 23, 3), widths=(2, 2), groups=32, caffe_strides_first=False),
}
SENET154 = Variant(
    "senet154",
    (3, 8, 36, 3),
    widths=(2, 4),
    groups=64,
    caffe_strides_first=False,
    deep_stem=True,
    projection_size=3,
    dropout=0.2,
)


@dataclass(frozen=True)
class SqueezeExciteBlocks(BlockAttention):
    """A `SqueezeExcite` at one place of the blocks of some stages."""

    stages: tuple[int, ...] = (1, 2, 3, 4)
    placement: str = "standard"
    ratio: int = 16

    def gate(self, x: Any, place: str, block: Block) -> Any:
        """Puts a `SqueezeExcite` on `x`, if it stands here."""
        if place != self.placement or block.stage not in self.stages:
            return x
        return SqueezeExcite(self.ratio, name=f"{block.prefix}_se")(x)


def _se_resnet(
    variant: Variant,
    *,
    include_top: bool = True,
    include_preprocessing: bool = False,
    weights: str | os.PathLike | None = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    pyramid_outputs: bool | Sequence[str] = False,
    attention: str | None = "se",
    stages: Sequence[int] | None = None,
    placement: str = "standard",
    ratio: int = 16,
    geometry: str = "caffe",
    name: str | None = None,
) -> keras.Model:
    """A residual network with Squeeze-and-Excitation in its blocks."""
    check_attention(attention, (None, "se"))
    check_stages(stages)
    check_geometry(geometry)
    if placement not in PLACES:
        listed = ", ".join(map(repr, PLACES))
        raise ValueError(f"`placement` must be one of {listed}. Received: placement={placement!r}")
    if placement == "3x3" and not variant.bottleneck:
        raise ValueError(
            "`placement` can be '3x3' only where a block has one 3x3 convolution. "
            f"Received: placement='3x3' for {variant.name}, whose blocks have two"
        )
    in_blocks = BlockAttention()
    if attention == "se":
        chosen = (1, 2, 3, 4) if stages is None else tuple(stages)
        in_blocks = SqueezeExciteBlocks(chosen, placement, ratio)
    arguments = Arguments(
        include_top=include_top,
        include_preprocessing=include_preprocessing,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        pyramid_outputs=pyramid_outputs,
        name=name or (f"se_{variant.name}" if attention else variant.name),
    )
    return construct(
        arguments,
        lambda x: residual_features(x, variant, in_blocks, geometry),
        default_size=224,
        min_size=32,
        normalisation=IMAGENET,
        dropout=variant.dropout,
    )


_DOC = """{summary}

    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507).
    {source}

    Args:
        include_top: Whether the network ends in its classifier.
        include_preprocessing: Whether the network takes pixels in 0..255 and normalises them.
        weights: `None` (random initialization), the path to a weights file, or a set's tag,
            `"imagenet"` or `"cifar10"` where there is one: see `keras-attn models --weights`.
        input_tensor: Optional Keras tensor to use as the image.
        input_shape: Optional shape without the batch; sides of at least 32, or `None`.
        pooling: `None`, `"avg"` or `"max"`, what follows the last map without a top.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` returns the logits.
        pyramid_outputs: Whether the network returns the last map of each stage instead, as a dict
            of the levels P2 to P5 (stride 4 to 32); or the levels that it returns.
        attention: `"se"`, or `None` for the same network without it.
        stages: The stages (1 to 4, from the finest map on) with attention; by default all.
        placement: Where a block has its `SqueezeExcite`, as in the paper's ablation: at the end
            of the branch (`"standard"`), before the branch (`"pre"`), behind the sum and its ReLU
            (`"post"`), at the end of the shortcut (`"identity"`), or behind the 3x3 convolution's
            ReLU (`"3x3"`, in bottlenecks only).
        ratio: Reduction of the `SqueezeExcite`s.
        geometry: {geometry}
        name: Name of the model.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.{name}(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, {channels})
    """

_IN_THE_FIRST = """`"caffe"`, the authors': a bottleneck strides in its first 1x1 convolution,
            and the max pool is in ceil mode without padding. `"torchvision"`, that of most
            weights trained since: the stride in the 3x3, the max pool padded by 1. A weights file
            fits both, but is right in one only. Sets of weights bring theirs; all are in
            `keras_attn.applications.common.residual_network.GEOMETRIES`."""

_IN_THE_3X3 = """`"caffe"`, the authors': the max pool is in ceil mode without padding.
            `"torchvision"`: it is padded by 1. The stride is in the 3x3 in both. A weights file
            fits both, but is right in one only. Sets of weights bring theirs; all are in
            `keras_attn.applications.common.residual_network.GEOMETRIES`."""


def _constructor(
    name: str,
    variant: Variant,
    summary: str,
    source: str,
    defaults: Mapping[str, Any] | None = None,
) -> Callable[..., keras.Model]:
    doc = _DOC.format(
        name=name,
        summary=summary,
        source=source,
        geometry=_IN_THE_FIRST
        if variant.bottleneck and variant.caffe_strides_first
        else _IN_THE_3X3,
        channels=2048 if variant.bottleneck else 512,
    )
    return constructor(name, _se_resnet, variant, doc, defaults)


def _se_resnet_of(depth: int) -> Callable[..., keras.Model]:
    source = (
        f"Source: the authors' prototxt `SE-ResNet-{depth}` (github.com/hujie-frank/SENet)."
        if RESNETS[depth].bottleneck
        else "The authors released no file of this depth; the block is theirs."
    )
    summary = f"SE-ResNet-{depth}: ResNet with a `SqueezeExcite` in each block."
    return _constructor(f"SEResNet{depth}", RESNETS[depth], summary, source)


def _se_resnext_of(depth: int) -> Callable[..., keras.Model]:
    source = f"Source: the authors' prototxt `SE-ResNeXt-{depth}` (github.com/hujie-frank/SENet)."
    summary = f"SE-ResNeXt-{depth} (32x4d): ResNeXt with a `SqueezeExcite` in each block."
    return _constructor(f"SEResNeXt{depth}", RESNEXTS[depth], summary, source)


SEResNet18 = _se_resnet_of(18)
SEResNet34 = _se_resnet_of(34)
SEResNet50 = _se_resnet_of(50)
SEResNet101 = _se_resnet_of(101)
SEResNet152 = _se_resnet_of(152)
SEResNeXt50 = _se_resnext_of(50)
SEResNeXt101 = _se_resnext_of(101)
SENet154 = _constructor(
    "SENet154",
    SENET154,
    "SENet-154: a ResNeXt-152 (64x4d), modified, with a `SqueezeExcite` in each block.",
    """Source: the authors' prototxt `SENet-154` (github.com/hujie-frank/SENet): a stem of three
    3x3 convolutions, first 1x1 convolutions of half the width, 3x3 projections where the shortcut
    strides, and dropout of 0.2 before the classifier.""",
    {"name": "senet154"},
)
