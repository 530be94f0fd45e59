"""ResNets with `GatherExcite` (Hu et al., NeurIPS 2018)."""

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
def GEResNet50(
    *,
    attention: Literal["ge"] | None = "ge",
    stages: Sequence[int] | None = None,
    mode: Literal["theta_minus", "theta", "theta_plus"] = "theta_minus",
    extent: int | Literal["global"] = "global",
    ratio: int = 16,
    geometry: GeometryName = "torchvision",
    output_stride: OutputStride = 32,
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
        output_stride: Pixels of the image between two places of the last map. With 16 or 8 the last
            stages dilate instead of striding, as for segmentation (DeepLab): the weights are the
            same, and the pyramid ends at P4 or P3.
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
    return residual_network(
        variant, asked, geometry, default_name, output_stride=output_stride, **common
    )
