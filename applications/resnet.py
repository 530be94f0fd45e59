"""Residual networks for ImageNet (He et al., CVPR 2016)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_attn.applications.aa_resnet import AugmentedBlocks
from keras_attn.applications.common.block_attention import AttentionInBlocks
from keras_attn.applications.common.construction import Arguments, construct, constructor
from keras_attn.applications.common.preprocessing import IMAGENET
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.common.residual_network import (
    RESNETS,
    SIDES,
    BlockAttention,
    Variant,
    check_geometry,
    check_stages,
    residual_features,
)
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.applications.se_resnet import SqueezeExciteBlocks
from keras_attn.insertion import attention_name, check_attention

# These two have more arguments in constructors of their own.
_OF_THE_PAPERS: dict[str, Callable[..., BlockAttention]] = {
    "se": SqueezeExciteBlocks,
    "aa": AugmentedBlocks,
}


def _resnet(
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
    attention: Any = None,
    stages: Sequence[int] | None = None,
    geometry: str = "torchvision",
    name: str | None = None,
) -> keras.Model:
    """A residual network; constructors such as `SEResNet50` have their attention's arguments."""
    check_attention(attention, none=True)
    check_stages(stages)
    check_geometry(geometry)
    in_blocks = BlockAttention()
    if isinstance(attention, str) and attention in _OF_THE_PAPERS:
        kind = _OF_THE_PAPERS[attention]
        in_blocks = kind() if stages is None else kind(tuple(stages))
    elif attention is not None:
        in_blocks = AttentionInBlocks(attention, SIDES, stages)
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
        name=name or (f"{attention_name(attention)}_{variant.name}" if attention else variant.name),
    )
    return construct(
        arguments,
        lambda x: residual_features(x, variant, in_blocks, geometry),
        default_size=224,
        min_size=32,
        normalisation=IMAGENET,
        dropout=variant.dropout,
    )


_DOC = """Residual network of {depth} layers for ImageNet, plain or with attention in its blocks.

    [He et al., "Deep Residual Learning for Image Recognition", CVPR 2016](
    https://arxiv.org/abs/1512.03385), table 1: the baseline of `SEResNet{depth}` and
    `AAResNet34` to `AAResNet152`. By default the stride of a bottleneck is in its 3x3
    convolution, as in most of today's weights; the paper had it in the first 1x1.

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
        attention: `None`; the name of a kind, such as `"se"` (as in `SEResNet50`), `"aa"` (as in
            `AAResNet50`, with the ratios of that network), `"cbam"`, `"eca"` or `"bot"`; a layer
            of `keras_attn.layers`, of which each block has a copy with weights of its own; or a
            function of stage and block, both from 1 on, that gives a name, a layer or `None`.
            `keras_attn.insertion.KINDS` has all names, and where in a block each kind stands: a
            gate at the end of the branch, attention instead of the 3x3 convolution, BAM behind
            a stage.
        stages: The stages (1 to 4) that have attention. By default those of its paper.
        geometry: `"torchvision"` has the stride in a bottleneck's 3x3 convolution, and a max pool
            padded by 1. `"caffe"` has it in the first 1x1, and a max pool in ceil mode. Sets of
            weights bring theirs; all are in
            `keras_attn.applications.common.residual_network.GEOMETRIES`.
        name: Name of the model.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.ResNet{depth}(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, {channels})
    """


def _constructor(depth: int) -> Callable[..., keras.Model]:
    variant = RESNETS[depth]
    doc = _DOC.format(depth=depth, channels=2048 if variant.bottleneck else 512)
    return constructor(f"ResNet{depth}", _resnet, variant, doc)


ResNet18 = _constructor(18)
ResNet34 = _constructor(34)
ResNet50 = _constructor(50)
ResNet101 = _constructor(101)
ResNet152 = _constructor(152)
