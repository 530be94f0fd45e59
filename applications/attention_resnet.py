"""ResNets with CBAM, BAM, Gather-Excite, ECA, Global Context or Selective Kernels."""

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
    GeometryName,
    places_of,
    residual_network,
)
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.kinds import Attention, Placement, one_kind


@network(OF_IMAGENET)
def CBAMResNet18(
    *,
    attention: Literal["cbam"] | None = "cbam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    zero_gamma: bool = True,
    geometry: GeometryName = "torchvision",
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
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET, like=CBAMResNet18)
def CBAMResNet34(
    *,
    attention: Literal["cbam"] | None = "cbam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    zero_gamma: bool = True,
    geometry: GeometryName = "torchvision",
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
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET, like=CBAMResNet18)
def CBAMResNet50(
    *,
    attention: Literal["cbam"] | None = "cbam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    zero_gamma: bool = True,
    geometry: GeometryName = "torchvision",
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
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET, like=CBAMResNet18)
def CBAMResNet101(
    *,
    attention: Literal["cbam"] | None = "cbam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    zero_gamma: bool = True,
    geometry: GeometryName = "torchvision",
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
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET)
def BAMResNet18(
    *,
    attention: Literal["bam"] | None = "bam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    combine: Literal["sum", "product"] = "sum",
    geometry: GeometryName = "torchvision",
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
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET, like=BAMResNet18)
def BAMResNet34(
    *,
    attention: Literal["bam"] | None = "bam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    combine: Literal["sum", "product"] = "sum",
    geometry: GeometryName = "torchvision",
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
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET, like=BAMResNet18)
def BAMResNet50(
    *,
    attention: Literal["bam"] | None = "bam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    combine: Literal["sum", "product"] = "sum",
    geometry: GeometryName = "torchvision",
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
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET, like=BAMResNet18)
def BAMResNet101(
    *,
    attention: Literal["bam"] | None = "bam",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    combine: Literal["sum", "product"] = "sum",
    geometry: GeometryName = "torchvision",
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
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET)
def GEResNet50(
    *,
    attention: Literal["ge"] | None = "ge",
    stages: Sequence[int] | None = None,
    mode: Literal["theta_minus", "theta", "theta_plus"] = "theta_minus",
    extent: int | Literal["global"] = "global",
    ratio: int = 16,
    geometry: GeometryName = "torchvision",
    **common: Unpack[Common],
) -> keras.Model:
    """GE-ResNet-50: ResNet with `GatherExcite`.

    [Hu et al., "Gather-Excite: Exploiting Feature Context in Convolutional Neural Networks",
    NeurIPS 2018](https://arxiv.org/abs/1810.12348), as in its authors' prototxts: a
    `GatherExcite` at the end of each block's branch. With global convolutions (theta and
    theta-plus) a network serves one size of image only.

    Args:
        attention: `"ge"`, or `None` for the same network without it.
        stages: The stages (1 to 4) that have attention; by default the paper's.
        mode: `"theta_minus"` has no weights; `"theta"` gathers by depthwise convolutions;
            `"theta_plus"` excites by two 1x1 convolutions, too.
        extent: 2, 4, 8 or `"global"`: from how far each place gathers.
        ratio: Reduction of the bottleneck in each `GatherExcite` of theta-plus.
        geometry: `"torchvision"` has a max pool padded by 1, `"caffe"` one in ceil mode. Where the
            3x3 convolution of a bottleneck strides, `"caffe"` strides in the first 1x1. Sets of
            weights bring theirs; all are in
            `keras_attn.applications.common.residual_network.GEOMETRIES`.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.GEResNet50(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant, options = RESNETS[50], {"mode": mode, "extent": extent, "ratio": ratio}
    asked = Attention(one_kind("ge", attention), stages, None, options, places_of(variant))
    default_name = f"ge_resnet50_{mode}" if attention else None
    return residual_network(variant, asked, geometry, default_name, **common)


@network(OF_IMAGENET)
def ECAResNet50(
    *,
    attention: Literal["eca"] | None = "eca",
    stages: Sequence[int] | None = None,
    kernel_size: int | None = None,
    geometry: GeometryName = "torchvision",
    **common: Unpack[Common],
) -> keras.Model:
    """ECA-ResNet-50: ResNet with `EfficientChannelAttention`.

    [Wang et al., "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks",
    CVPR 2020](https://arxiv.org/abs/1910.03151), an `EfficientChannelAttention` at the end of each
    block's branch.

    Args:
        attention: `"eca"`, or `None` for the same network without it.
        stages: The stages (1 to 4) that have attention; by default the paper's.
        kernel_size: Channels that a gate is computed from, odd; `None` takes the paper's rule.
        geometry: `"torchvision"` has a max pool padded by 1, `"caffe"` one in ceil mode. Where the
            3x3 convolution of a bottleneck strides, `"caffe"` strides in the first 1x1. Sets of
            weights bring theirs; all are in
            `keras_attn.applications.common.residual_network.GEOMETRIES`.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.ECAResNet50(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant, options = RESNETS[50], {"kernel_size": kernel_size}
    asked = Attention(one_kind("eca", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET)
def GCResNet50(
    *,
    attention: Literal["gc"] | None = "gc",
    stages: Sequence[int] | None = None,
    placement: Placement = "standard",
    ratio: int = 16,
    fusion: Literal["add", "scale"] = "add",
    geometry: GeometryName = "torchvision",
    **common: Unpack[Common],
) -> keras.Model:
    """GC-ResNet-50: ResNet with `GlobalContext`.

    [Cao et al., "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond",
    ICCV workshops 2019](https://arxiv.org/abs/1904.11492), a `GlobalContext` at the end of
    each block's branch. timm's `gcresnet50t` has it behind the 3x3 convolution, and another stem.

    Args:
        attention: `"gc"`, or `None` for the same network without it.
        stages: The stages (1 to 4) that have attention; by default the paper's.
        placement: Where a block has its `GlobalContext`: at the end of the branch
            (`"standard"`), behind the 3x3 convolution's ReLU (`"3x3"`), or as in `ResNet50`.
        ratio: Reduction of the bottleneck in each `GlobalContext`.
        fusion: `"add"` as in the paper, or `"scale"`.
        geometry: `"torchvision"` has a max pool padded by 1, `"caffe"` one in ceil mode. Where the
            3x3 convolution of a bottleneck strides, `"caffe"` strides in the first 1x1. Sets of
            weights bring theirs; all are in
            `keras_attn.applications.common.residual_network.GEOMETRIES`.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.GCResNet50(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant, options = RESNETS[50], {"ratio": ratio, "fusion": fusion}
    asked = Attention(one_kind("gc", attention), stages, placement, options, places_of(variant))
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET)
def SKResNet50(
    *,
    attention: Literal["sk"] | None = "sk",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    min_bottleneck_channels: int = 32,
    geometry: GeometryName = "torchvision",
    **common: Unpack[Common],
) -> keras.Model:
    """SK-ResNet-50: ResNeXt (32x4d) with `SelectiveKernel`.

    [Li et al., "Selective Kernel Networks", CVPR 2019](https://arxiv.org/abs/1903.06586), there
    SKNet-50: ResNeXt-50 (32x4d) whose 3x3 convolutions are `SelectiveKernel`s of 32 groups. With
    `ResNet50(attention="sk")` they replace ResNet-50's.

    Args:
        attention: `"sk"`, or `None` for the same network without it.
        stages: The stages (1 to 4) that have attention; by default the paper's.
        ratio: Reduction of the bottleneck in each `SelectiveKernel`.
        min_bottleneck_channels: The least channels of that bottleneck, the paper's L.
        geometry: `"torchvision"` has a max pool padded by 1, `"caffe"` one in ceil mode. Where the
            3x3 convolution of a bottleneck strides, `"caffe"` strides in the first 1x1. Sets of
            weights bring theirs; all are in
            `keras_attn.applications.common.residual_network.GEOMETRIES`.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.SKResNet50(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant, options = (
        RESNEXTS[50],
        {"ratio": ratio, "min_bottleneck_channels": min_bottleneck_channels},
    )
    asked = Attention(one_kind("sk", attention), stages, None, options, places_of(variant))
    default_name = "sk_resnet50" if attention else None
    return residual_network(variant, asked, geometry, default_name, **common)
