"""MobileNet with Squeeze-and-Excitation (Howard et al., 2017; Hu et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, Unpack

import keras

from keras_attn.applications.common.blocks import (
    convolution,
    depthwise_convolution,
    norm_relu,
)
from keras_attn.applications.common.construction import OF_IMAGENET, construct, level
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.kinds import Attention, Block, Places, one_kind
from keras_attn.typing import Tensor

STEM_FILTERS = 32
# Filters and blocks of each stage; all but the first begin with stride 2.
STAGES = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))
PLACES = Places(range(1, len(STAGES) + 1), ["standard"])


@network(OF_IMAGENET)
def SEMobileNet(
    *,
    attention: Literal["se"] | None = "se",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    **common: Unpack[Common],
) -> keras.Model:
    """MobileNet 1.0 with a `SqueezeExcite` behind each pointwise convolution.

    [Howard et al., "MobileNets", 2017](https://arxiv.org/abs/1704.04861), table 1, with
    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507).
    The authors of the latter released no file of this network. Where its 13 blocks stand settles
    the number of their parameters: 486,068 for one at each pointwise convolution, the 4.2M and
    4.7M of the paper. That a block follows the ReLU is the paper's rule for networks without
    shortcuts. Sizes and padding are those of the prototxt in github.com/shicai/MobileNet-Caffe
    (`mobilenet_deploy.prototxt`).

    Args:
        attention: `"se"`, or `None` for MobileNet.
        stages: The stages (1 to 5) with attention; by default all.
        ratio: Reduction of the `SqueezeExcite`s.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.SEMobileNet(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 1024)
    """
    asked = Attention(one_kind("se", attention), stages, None, {"ratio": ratio}, PLACES)
    name = "se_mobilenet" if attention else "mobilenet"
    return construct(asked.everywhere(partial(_body, asked)), OF_IMAGENET, name, **common)


def _body(attention: Attention, x: Tensor) -> Tensor:
    """From the image (B, H, W, C) to the last map (B, H / 32, W / 32, 1024)."""
    x = norm_relu(convolution(x, STEM_FILTERS, strides=2, name="stem_conv"), "stem")
    for stage, (filters, blocks) in enumerate(STAGES, start=1):
        for i in range(blocks):
            block = Block(stage, i + 1, blocks)
            strides, prefix = 2 if stage > 1 and i == 0 else 1, block.prefix
            x = depthwise_convolution(x, strides=strides, name=f"{prefix}_dw")
            x = norm_relu(x, prefix, "1")
            x = norm_relu(convolution(x, filters, 1, name=f"{prefix}_pw"), prefix, "2")
            x = attention.within(block)(x, "standard")
        if stage > 1:
            x = level(x, stage)
    return x
