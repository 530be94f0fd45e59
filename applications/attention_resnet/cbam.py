"""ResNets with `CBAM` (Woo et al., ECCV 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

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
from keras_attn.kinds import Attention, one_kind


@network(OF_IMAGENET)
def CBAMResNet18(
    *,
    attention: Literal["cbam"] | None = "cbam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    zero_gamma: bool = True,
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """CBAM-ResNet-18: ResNet with `CBAM`.

    [Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018](
    https://arxiv.org/abs/1807.06521), as in its authors' code
    (github.com/Jongchan/attention-module): a `CBAM` at the end of each block's branch, behind the
    last BatchNormalization. As there, the spatial gates' gammas start at 0, so that each gate
    starts at 1/2. Users report accuracies below plain ResNets' on small data sets: issue 24 there.

    Args:
        attention: `"cbam"`, or `None` for the same network without it.
        stages: The stages (1 to 4) that have attention; by default the paper's.
        ratio: Reduction of the bottleneck in each `CBAM`.
        zero_gamma: Whether the gamma of each spatial gate's BatchNormalization starts at 0.
        geometry: `"torchvision"` has a max pool padded by 1, `"caffe"` one in ceil mode. Where the
            3x3 convolution of a bottleneck strides, `"caffe"` strides in the first 1x1. Sets of
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

    >>> model = keras_attn.applications.CBAMResNet18(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 512)
    """
    variant, options = RESNETS[18], {"ratio": ratio, "zero_gamma": zero_gamma}
    asked = Attention(one_kind("cbam", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=CBAMResNet18)
def CBAMResNet34(
    *,
    attention: Literal["cbam"] | None = "cbam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    zero_gamma: bool = True,
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """CBAM-ResNet-34: ResNet with `CBAM`.

    [Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018](
    https://arxiv.org/abs/1807.06521).

    Example:

    >>> model = keras_attn.applications.CBAMResNet34(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 512)
    """
    variant, options = RESNETS[34], {"ratio": ratio, "zero_gamma": zero_gamma}
    asked = Attention(one_kind("cbam", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=CBAMResNet18)
def CBAMResNet50(
    *,
    attention: Literal["cbam"] | None = "cbam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    zero_gamma: bool = True,
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """CBAM-ResNet-50: ResNet with `CBAM`.

    [Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018](
    https://arxiv.org/abs/1807.06521).

    Example:

    >>> model = keras_attn.applications.CBAMResNet50(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant, options = RESNETS[50], {"ratio": ratio, "zero_gamma": zero_gamma}
    asked = Attention(one_kind("cbam", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=CBAMResNet18)
def CBAMResNet101(
    *,
    attention: Literal["cbam"] | None = "cbam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    zero_gamma: bool = True,
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """CBAM-ResNet-101: ResNet with `CBAM`.

    [Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018](
    https://arxiv.org/abs/1807.06521).

    Example:

    >>> model = keras_attn.applications.CBAMResNet101(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant, options = RESNETS[101], {"ratio": ratio, "zero_gamma": zero_gamma}
    asked = Attention(one_kind("cbam", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)
