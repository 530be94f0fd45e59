"""Residual networks for ImageNet (He et al., CVPR 2016), plain or with any attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import keras

from keras_attn.applications.common.construction import OF_IMAGENET
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.common.residual_network import (
    RESNETS,
    GeometryName,
    OutputStride,
    places_of,
    residual_network,
)
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.kinds import Attention, AttentionLike, Placement


@network(OF_IMAGENET)
def ResNet18(
    *,
    attention: AttentionLike | None = None,
    stages: Sequence[int] | None = None,
    placement: Placement | None = None,
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """ResNet-18 for ImageNet, plain or with attention in its blocks.

    [He et al., "Deep Residual Learning for Image Recognition", CVPR 2016](
    https://arxiv.org/abs/1512.03385), table 1: the baseline of `SEResNet18`. By default the
    stride of a bottleneck, which ResNets of 50 layers and more have, is in its 3x3 convolution, as
    in most of today's weights; the paper had it in the first 1x1.

    Args:
        attention: `None`; the name of a kind, such as `"se"` (as in `SEResNet50`), `"aa"` (as in
            `AAResNet50`, with the ratios of that network), `"cbam"`, `"eca"` or `"bot"`; a name
            and options, such as `("se", {"ratio": 8})`; a layer of `keras_attn.layers`, of which
            each block has a copy with weights of its own; or a function of stage and block, both
            from 1 on, that gives one of these. `keras_attn.kinds.KINDS` has all names, and where
            in a block each kind stands: a gate at the end of the branch, attention instead of the
            3x3 convolution, BAM behind a stage.
        stages: The stages (1 to 4, from the finest map on) that have attention. By default those
            of its paper.
        placement: Where a block has its attention: at the end of the branch (`"standard"`),
            before the branch (`"pre"`), behind the sum and its ReLU (`"post"`), at the end of the
            shortcut (`"identity"`), behind the 3x3 convolution's ReLU (`"3x3"`, in bottlenecks
            only), or instead of that convolution, in basic blocks of the first
            (`"convolution"`, for what makes a map of its own). By default as in its paper.
        geometry: `"torchvision"` has the stride in a bottleneck's 3x3 convolution, and a max pool
            padded by 1. `"caffe"` has it in the first 1x1, and a max pool in ceil mode. Sets of
            weights bring theirs; all are in
            `keras_attn.applications.common.residual_network.GEOMETRIES`.
        output_stride: Pixels of the image between two places of the last map. With 16 or 8 the last
            stages dilate instead of striding, as for segmentation (DeepLab): the weights are the
            same, and the pyramid ends at P4 or P3.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.ResNet18(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 512)
    """
    variant = RESNETS[18]
    asked = Attention(attention, stages, placement, places=places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=ResNet18)
def ResNet34(
    *,
    attention: AttentionLike | None = None,
    stages: Sequence[int] | None = None,
    placement: Placement | None = None,
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """ResNet-34 for ImageNet, plain or with attention in its blocks.

    [He et al., "Deep Residual Learning for Image Recognition", CVPR 2016](
    https://arxiv.org/abs/1512.03385), table 1: the baseline of `SEResNet34` and `AAResNet34`.

    Example:

    >>> model = keras_attn.applications.ResNet34(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 512)
    """
    variant = RESNETS[34]
    asked = Attention(attention, stages, placement, places=places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=ResNet18)
def ResNet50(
    *,
    attention: AttentionLike | None = None,
    stages: Sequence[int] | None = None,
    placement: Placement | None = None,
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """ResNet-50 for ImageNet, plain or with attention in its blocks.

    [He et al., "Deep Residual Learning for Image Recognition", CVPR 2016](
    https://arxiv.org/abs/1512.03385), table 1: the baseline of `SEResNet50` and `AAResNet50`.

    Example:

    >>> model = keras_attn.applications.ResNet50(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = RESNETS[50]
    asked = Attention(attention, stages, placement, places=places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=ResNet18)
def ResNet101(
    *,
    attention: AttentionLike | None = None,
    stages: Sequence[int] | None = None,
    placement: Placement | None = None,
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """ResNet-101 for ImageNet, plain or with attention in its blocks.

    [He et al., "Deep Residual Learning for Image Recognition", CVPR 2016](
    https://arxiv.org/abs/1512.03385), table 1: the baseline of `SEResNet101` and `AAResNet101`.

    Example:

    >>> model = keras_attn.applications.ResNet101(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = RESNETS[101]
    asked = Attention(attention, stages, placement, places=places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=ResNet18)
def ResNet152(
    *,
    attention: AttentionLike | None = None,
    stages: Sequence[int] | None = None,
    placement: Placement | None = None,
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """ResNet-152 for ImageNet, plain or with attention in its blocks.

    [He et al., "Deep Residual Learning for Image Recognition", CVPR 2016](
    https://arxiv.org/abs/1512.03385), table 1: the baseline of `SEResNet152` and `AAResNet152`.

    Example:

    >>> model = keras_attn.applications.ResNet152(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = RESNETS[152]
    asked = Attention(attention, stages, placement, places=places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)
