"""Residual networks with attention augmented convolutions (Bello et al., ICCV 2019)."""

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
    RESNETS,
    SIDES,
    Block,
    BlockAttention,
    Variant,
    check_geometry,
    check_stages,
    residual_features,
)
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.layers import AugmentedConv2D


@dataclass(frozen=True)
class AugmentedBlocks(BlockAttention):
    """An `AugmentedConv2D` for the first 3x3 convolution of the blocks of some stages."""

    stages: tuple[int, ...] = (2, 3, 4)
    kappa: float = 0.2
    upsilon: float = 0.1
    num_heads: int = 8
    min_key_dim: int = 20
    downsample: bool = True

    def _convolution(
        self, x: Any, filters: int, *, strides: int, groups: int, block: Block, name: str
    ) -> Any:
        """The augmented convolution, or the plain one in the other stages."""
        if block.stage not in self.stages:
            return super()._convolution(
                x, filters, strides=strides, groups=groups, block=block, name=name
            )
        pooled = 2 if self.downsample and block.stage == min(self.stages) else 1
        return AugmentedConv2D.from_ratios(
            filters,
            3,
            kappa=self.kappa,
            upsilon=self.upsilon,
            num_heads=self.num_heads,
            min_key_dim=self.min_key_dim,
            strides=strides,
            attention_strides=pooled,
            table_size=-(-SIDES[block.stage] // pooled) if None in x.shape[1:] else None,
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
        )(x)


def _aa_resnet(
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
    attention: str | None = "aa",
    stages: Sequence[int] = (2, 3, 4),
    kappa: float = 0.2,
    upsilon: float = 0.1,
    num_heads: int = 8,
    min_key_dim: int = 20,
    downsample: bool = True,
    geometry: str = "torchvision",
    name: str | None = None,
) -> keras.Model:
    """A residual network whose blocks have an augmented convolution."""
    check_attention(attention, (None, "aa"))
    check_stages(stages)
    check_geometry(geometry)
    in_blocks = BlockAttention()
    if attention == "aa":
        in_blocks = AugmentedBlocks(
            tuple(stages), kappa, upsilon, num_heads, min_key_dim, downsample
        )
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
        name=name or (f"aa_{variant.name}" if attention else variant.name),
    )
    return construct(
        arguments,
        lambda x: residual_features(x, variant, in_blocks, geometry),
        default_size=224,
        min_size=32,
        normalisation=IMAGENET,
        dropout=variant.dropout,
    )


_DOC = """Attention augmented ResNet-{depth}: an `AugmentedConv2D` in each block of three stages.

    [Bello et al., "Attention Augmented Convolutional Networks", ICCV 2019](
    https://arxiv.org/abs/1904.09925): {where} of the blocks of the last three stages is
    augmented, without biases, and with at least 20 dimensions per key. These choices give the
    parameters that the paper prints. In the first of these stages attention runs on a map pooled
    to half its sides.

    The paper does not say how an augmented convolution strides; see `AugmentedConv2D` for the
    rule here, which pads the strided convolution as Keras's `same` does.

    Args:
        include_top: Whether the network ends in its classifier.
        include_preprocessing: Whether the network takes pixels in 0..255 and normalises them.
        weights: `None` (random initialization), the path to a weights file, or a set's tag,
            `"imagenet"` or `"cifar10"` where there is one: see `keras-attn models --weights`.
        input_tensor: Optional Keras tensor to use as the image.
        input_shape: Optional shape without the batch; sides of at least 32, or `None`. Where a
            side is unknown, the tables of relative positions are those of an image of 224.
        pooling: `None`, `"avg"` or `"max"`, what follows the last map without a top.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` returns the logits.
        pyramid_outputs: Whether the network returns the last map of each stage instead, as a dict
            of the levels P2 to P5 (stride 4 to 32); or the levels that it returns.
        attention: `"aa"`, or `None` for the same network without it.
        stages: The stages (1 to 4, from the finest map on) with attention.
        kappa: Depth of the keys, in (0, 1] of the convolution's filters.
        upsilon: Depth of the values, in [0, 1] of the convolution's filters; 1 leaves no
            convolution there, only attention.
        num_heads: Number of heads.
        min_key_dim: Least depth of a key per head.
        downsample: Whether attention in the first of `stages` runs on half the map's sides.
        geometry: `"torchvision"` has the stride in a bottleneck's 3x3 convolution, and a max pool
            padded by 1. `"caffe"` has it in the first 1x1, and a max pool in ceil mode.
        name: Name of the model.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.AAResNet{depth}(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, {channels})
    """


def _constructor(
    depth: int, defaults: Mapping[str, Any] | None = None
) -> Callable[..., keras.Model]:
    is_deep = RESNETS[depth].bottleneck
    doc = _DOC.format(
        depth=depth,
        where="the 3x3 convolution" if is_deep else "the first 3x3 convolution",
        channels=2048 if is_deep else 512,
    )
    return constructor(f"AAResNet{depth}", _aa_resnet, RESNETS[depth], doc, defaults)


AAResNet34 = _constructor(34, {"kappa": 0.25, "upsilon": 0.25})
AAResNet50 = _constructor(50)
AAResNet101 = _constructor(101)
AAResNet152 = _constructor(152)
