"""Residual networks with Squeeze-and-Excitation (Hu et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

import keras

from keras_attn.applications.common.construction import OF_IMAGENET
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.common.residual_network import (
    RESNETS,
    RESNEXTS,
    SENETS,
    GeometryName,
    OutputStride,
    places_of,
    residual_network,
)
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.kinds import Attention, Placement, one_kind


@network(OF_IMAGENET)
def SEResNet18(
    *,
    attention: Literal["se"] | None = "se",
    stages: Sequence[int] | None = None,
    placement: Placement = "standard",
    ratio: int = 16,
    geometry: GeometryName = "caffe",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """SE-ResNet-18: ResNet with a `SqueezeExcite` in each block.

    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507).
    The authors released no file of this depth; the block is theirs.

    Args:
        attention: `"se"`, or `None` for the same network without it.
        stages: The stages (1 to 4, from the finest map on) with attention; by default all.
        placement: Where a block has its `SqueezeExcite`, as in the paper's ablation: at the end
            of the branch (`"standard"`), before the branch (`"pre"`), behind the sum and its ReLU
            (`"post"`), at the end of the shortcut (`"identity"`), or behind the 3x3 convolution's
            ReLU (`"3x3"`, in bottlenecks only).
        ratio: Reduction of the `SqueezeExcite`s.
        geometry: `"caffe"`, the authors': the max pool is in ceil mode without padding, and the
            bottlenecks of SE-ResNets stride in their first 1x1 convolution. `"torchvision"`, that
            of most weights trained since: the max pool padded by 1, the stride in the 3x3. A
            weights file fits both, but is right in one only. Sets of weights bring theirs; all
            are in `keras_attn.applications.common.residual_network.GEOMETRIES`.
        output_stride: Pixels of the image between two places of the last map. With 16 or 8 the last
            stages dilate instead of striding, as for segmentation (DeepLab): the weights are the
            same, and the pyramid ends at P4 or P3.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.SEResNet18(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 512)
    """
    variant = RESNETS[18]
    asked = Attention(
        one_kind("se", attention), stages, placement, {"ratio": ratio}, places_of(variant)
    )
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=SEResNet18)
def SEResNet34(
    *,
    attention: Literal["se"] | None = "se",
    stages: Sequence[int] | None = None,
    placement: Placement = "standard",
    ratio: int = 16,
    geometry: GeometryName = "caffe",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """SE-ResNet-34: ResNet with a `SqueezeExcite` in each block.

    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507).
    The authors released no file of this depth; the block is theirs.

    Example:

    >>> model = keras_attn.applications.SEResNet34(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 512)
    """
    variant = RESNETS[34]
    asked = Attention(
        one_kind("se", attention), stages, placement, {"ratio": ratio}, places_of(variant)
    )
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=SEResNet18)
def SEResNet50(
    *,
    attention: Literal["se"] | None = "se",
    stages: Sequence[int] | None = None,
    placement: Placement = "standard",
    ratio: int = 16,
    geometry: GeometryName = "caffe",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """SE-ResNet-50: ResNet with a `SqueezeExcite` in each block.

    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507).
    Source: the authors' prototxt `SE-ResNet-50` (github.com/hujie-frank/SENet).

    Example:

    >>> model = keras_attn.applications.SEResNet50(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = RESNETS[50]
    asked = Attention(
        one_kind("se", attention), stages, placement, {"ratio": ratio}, places_of(variant)
    )
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=SEResNet18)
def SEResNet101(
    *,
    attention: Literal["se"] | None = "se",
    stages: Sequence[int] | None = None,
    placement: Placement = "standard",
    ratio: int = 16,
    geometry: GeometryName = "caffe",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """SE-ResNet-101: ResNet with a `SqueezeExcite` in each block.

    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507).
    Source: the authors' prototxt `SE-ResNet-101` (github.com/hujie-frank/SENet).

    Example:

    >>> model = keras_attn.applications.SEResNet101(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = RESNETS[101]
    asked = Attention(
        one_kind("se", attention), stages, placement, {"ratio": ratio}, places_of(variant)
    )
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=SEResNet18)
def SEResNet152(
    *,
    attention: Literal["se"] | None = "se",
    stages: Sequence[int] | None = None,
    placement: Placement = "standard",
    ratio: int = 16,
    geometry: GeometryName = "caffe",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """SE-ResNet-152: ResNet with a `SqueezeExcite` in each block.

    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507).
    Source: the authors' prototxt `SE-ResNet-152` (github.com/hujie-frank/SENet).

    Example:

    >>> model = keras_attn.applications.SEResNet152(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = RESNETS[152]
    asked = Attention(
        one_kind("se", attention), stages, placement, {"ratio": ratio}, places_of(variant)
    )
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=SEResNet18)
def SEResNeXt50(
    *,
    attention: Literal["se"] | None = "se",
    stages: Sequence[int] | None = None,
    placement: Placement = "standard",
    ratio: int = 16,
    geometry: GeometryName = "caffe",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """SE-ResNeXt-50 (32x4d): ResNeXt with a `SqueezeExcite` in each block.

    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507).
    Source: the authors' prototxt `SE-ResNeXt-50` (github.com/hujie-frank/SENet).

    Example:

    >>> model = keras_attn.applications.SEResNeXt50(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = RESNEXTS[50]
    asked = Attention(
        one_kind("se", attention), stages, placement, {"ratio": ratio}, places_of(variant)
    )
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=SEResNet18)
def SEResNeXt101(
    *,
    attention: Literal["se"] | None = "se",
    stages: Sequence[int] | None = None,
    placement: Placement = "standard",
    ratio: int = 16,
    geometry: GeometryName = "caffe",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """SE-ResNeXt-101 (32x4d): ResNeXt with a `SqueezeExcite` in each block.

    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507).
    Source: the authors' prototxt `SE-ResNeXt-101` (github.com/hujie-frank/SENet).

    Example:

    >>> model = keras_attn.applications.SEResNeXt101(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = RESNEXTS[101]
    asked = Attention(
        one_kind("se", attention), stages, placement, {"ratio": ratio}, places_of(variant)
    )
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=SEResNet18)
def SENet154(
    *,
    attention: Literal["se"] | None = "se",
    stages: Sequence[int] | None = None,
    placement: Placement = "standard",
    ratio: int = 16,
    geometry: GeometryName = "caffe",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """SENet-154: a ResNeXt-152 (64x4d), modified, with a `SqueezeExcite` in each block.

    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507).
    Source: the authors' prototxt `SENet-154` (github.com/hujie-frank/SENet): a stem of three
    3x3 convolutions, first 1x1 convolutions of half the width, 3x3 projections where the shortcut
    strides, and dropout of 0.2 before the classifier.

    Example:

    >>> model = keras_attn.applications.SENet154(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = SENETS[154]
    asked = Attention(
        one_kind("se", attention), stages, placement, {"ratio": ratio}, places_of(variant)
    )
    return residual_network(
        variant, asked, geometry, "senet154", output_stride=output_stride, **common
    )
