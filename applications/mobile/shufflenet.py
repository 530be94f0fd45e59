"""ShuffleNet with Squeeze-and-Excitation (Zhang et al. and Hu et al., both CVPR 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, Unpack

import keras
from keras import layers

from keras_attn.applications.common.blocks import (
    channel_axis,
    convolution,
    depthwise_convolution,
    norm,
    norm_relu,
    padded_max_pool,
)
from keras_attn.applications.common.construction import OF_IMAGENET, construct, level
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.kinds import Attention, Block, Places, one_kind
from keras_attn.layers import ChannelShuffle2D
from keras_attn.typing import Tensor

# Table 1 of the paper, the column of 3 groups.
GROUPS = 3
STEM_FILTERS = 24
STAGES = {2: (240, 4), 3: (480, 8), 4: (960, 4)}  # filters, units; the first of each strides
PLACES = Places(tuple(STAGES), ["standard"])


@network(OF_IMAGENET)
def SEShuffleNet(
    *,
    attention: Literal["se"] | None = "se",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    **common: Unpack[Common],
) -> keras.Model:
    """ShuffleNet 1x with 3 groups, and a `SqueezeExcite` at the end of each unit's branch.

    [Zhang et al., "ShuffleNet", CVPR 2018](https://arxiv.org/abs/1707.01083), table 1 and figure
    2, with [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](
    https://arxiv.org/abs/1709.01507). Widths, padding and the pools that count their padding are
    those of the authors' code (github.com/megvii-model/ShuffleNet-Series, `ShuffleNetV1`). It
    shuffles behind the depthwise convolution, the paper and this network before it: the same but
    for the order of that convolution's channels.

    There is no file of the network with Squeeze-and-Excitation. Its place here, before the sum or
    the concatenation as in SE-ResNet, adds 618,805 parameters. Behind them it would be 729,180:
    too many for the 1.8M and 2.4M of the paper.

    Args:
        attention: `"se"`, or `None` for ShuffleNet.
        stages: The stages (2 to 4) with attention; by default all.
        ratio: Reduction of the `SqueezeExcite`s.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.SEShuffleNet(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 960)
    """
    asked = Attention(one_kind("se", attention), stages, None, {"ratio": ratio}, PLACES)
    name = "se_shufflenet" if attention else "shufflenet"
    return construct(asked.everywhere(partial(_body, asked)), OF_IMAGENET, name, **common)


def _body(attention: Attention, x: Tensor) -> Tensor:
    """From the image (B, H, W, C) to the last map (B, H / 32, W / 32, 960)."""
    x = norm_relu(convolution(x, STEM_FILTERS, strides=2, name="stem_conv"), "stem")
    x = level(padded_max_pool(x, "stem_pool"), 2)
    for stage, (filters, units) in STAGES.items():
        for i in range(units):
            x = _unit(x, Block(stage, i + 1, units), filters, attention)
        x = level(x, stage + 1)
    return x


def _unit(x: Tensor, block: Block, filters: int, attention: Attention) -> Tensor:
    """The sum of branch and shortcut; where it strides, both beside each other."""
    prefix, strides = block.prefix, 2 if block.number == 1 else 1
    shortcut = x
    width = filters // 4
    if strides > 1:
        filters -= x.shape[channel_axis()]  # the shortcut's channels stand beside them
    # The stem's channels are few: the first unit's first convolution has no groups.
    groups = 1 if block.stage == 2 and block.number == 1 else GROUPS
    x = convolution(x, width, 1, groups=groups, name=f"{prefix}_conv1")
    x = norm_relu(x, prefix, "1")
    x = ChannelShuffle2D(GROUPS, name=f"{prefix}_shuffle")(x)
    x = depthwise_convolution(x, strides=strides, name=f"{prefix}_dw")
    x = norm(x, f"{prefix}_bn2")
    x = convolution(x, filters, 1, groups=GROUPS, name=f"{prefix}_conv3")
    x = norm(x, f"{prefix}_bn3")
    x = attention.within(block)(x, "standard")
    if strides > 1:
        shortcut = layers.ZeroPadding2D(1, name=f"{prefix}_shortcut_pad")(shortcut)
        shortcut = layers.AveragePooling2D(3, strides, name=f"{prefix}_shortcut_pool")(shortcut)
        x = layers.Concatenate(channel_axis(), name=f"{prefix}_concat")([shortcut, x])
    else:
        x = layers.Add(name=f"{prefix}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{prefix}_relu3")(x)
