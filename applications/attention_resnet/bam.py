"""ResNets with `BAM` (Park et al., BMVC 2018)."""

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
def BAMResNet18(
    *,
    attention: Literal["bam"] | None = "bam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    combine: Literal["sum", "product"] = "sum",
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """BAM-ResNet-18: ResNet with `BAM`.

    [Park et al., "BAM: Bottleneck Attention Module", BMVC 2018](
    https://arxiv.org/abs/1807.06514), as in its authors' code
    (github.com/Jongchan/attention-module): a `BAM` behind each stage but the last. Its two branches
    are added, as in the paper; that code multiplies them. Users report accuracies below plain
    ResNets' on small data sets: issue 24 there.

    Args:
        attention: `"bam"`, or `None` for the same network without it.
        stages: The stages (1 to 4) that have attention; by default the paper's.
        ratio: Reduction of the bottleneck in each `BAM`.
        combine: `"sum"` as in the paper, or `"product"` as in the authors' code.
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

    >>> model = keras_attn.applications.BAMResNet18(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 512)
    """
    variant, options = RESNETS[18], {"ratio": ratio, "combine": combine}
    asked = Attention(one_kind("bam", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=BAMResNet18)
def BAMResNet34(
    *,
    attention: Literal["bam"] | None = "bam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    combine: Literal["sum", "product"] = "sum",
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """BAM-ResNet-34: ResNet with `BAM`.

    [Park et al., "BAM: Bottleneck Attention Module", BMVC 2018](
    https://arxiv.org/abs/1807.06514).

    Example:

    >>> model = keras_attn.applications.BAMResNet34(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 512)
    """
    variant, options = RESNETS[34], {"ratio": ratio, "combine": combine}
    asked = Attention(one_kind("bam", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=BAMResNet18)
def BAMResNet50(
    *,
    attention: Literal["bam"] | None = "bam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    combine: Literal["sum", "product"] = "sum",
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """BAM-ResNet-50: ResNet with `BAM`.

    [Park et al., "BAM: Bottleneck Attention Module", BMVC 2018](
    https://arxiv.org/abs/1807.06514).

    Example:

    >>> model = keras_attn.applications.BAMResNet50(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant, options = RESNETS[50], {"ratio": ratio, "combine": combine}
    asked = Attention(one_kind("bam", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)


@network(OF_IMAGENET, like=BAMResNet18)
def BAMResNet101(
    *,
    attention: Literal["bam"] | None = "bam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    combine: Literal["sum", "product"] = "sum",
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """BAM-ResNet-101: ResNet with `BAM`.

    [Park et al., "BAM: Bottleneck Attention Module", BMVC 2018](
    https://arxiv.org/abs/1807.06514).

    Example:

    >>> model = keras_attn.applications.BAMResNet101(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant, options = RESNETS[101], {"ratio": ratio, "combine": combine}
    asked = Attention(one_kind("bam", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)
