"""ResNets with `GlobalContext` (Cao et al., ICCV workshops 2019)."""

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
from keras_attn.kinds import Attention, Placement, one_kind


@network(OF_IMAGENET)
def GCResNet50(
    *,
    attention: Literal["gc"] | None = "gc",
    stages: Sequence[int] | None = None,
    placement: Placement = "standard",
    ratio: int = 16,
    fusion: Literal["add", "scale"] = "add",
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
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
        output_stride: Pixels of the image between two places of the last map. With 16 or 8 the last
            stages dilate instead of striding, as for segmentation (DeepLab): the weights are the
            same, and the pyramid ends at P4 or P3.
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
    return residual_network(variant, asked, geometry, output_stride=output_stride, **common)
