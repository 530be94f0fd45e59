"""ResNets with `SelectiveKernel` (Li et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

import keras

from keras_attn.applications.common.construction import OF_IMAGENET
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.common.residual_network import (
    RESNEXTS,
    GeometryName,
    places_of,
    residual_network,
)
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.kinds import Attention, one_kind


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
