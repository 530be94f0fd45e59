"""VoVNetV2 (Lee and Park, CVPR 2020): one-shot aggregation, and `EffectiveSE` behind it."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Unpack

import keras
from keras import layers

from keras_attn._checks import check_one_of
from keras_attn.applications.common.blocks import (
    channel_axis,
    convolution,
    depthwise_convolution,
    norm_relu,
)
from keras_attn.applications.common.construction import OF_IMAGENET, construct, level
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.kinds import Block
from keras_attn.layers import CeilMaxPooling2D, EffectiveSE
from keras_attn.typing import Tensor


class Aggregation(NamedTuple):
    """One VoVNetV2.

    Attributes:
        stem: Filters of the stem's three 3x3 convolutions, the first and last of which stride.
        blocks: Blocks of each stage.
        convolutions: 3x3 convolutions of a block, whose maps are all aggregated.
        depthwise: Whether these, and the stem's last two, are depthwise and a 1x1.
    """

    stem: tuple[int, int, int]
    blocks: tuple[int, int, int, int]
    convolutions: int
    depthwise: bool = False


# Of each stage: channels of a 3x3 convolution, and of what aggregates them.
WIDTHS = ((128, 256), (160, 512), (192, 768), (224, 1024))
# timm's vovnet.py.
VOVNETS = {
    "ese_vovnet19b_dw": Aggregation((64, 64, 64), (1, 1, 1, 1), 3, depthwise=True),
    "ese_vovnet39b": Aggregation((64, 64, 128), (1, 1, 2, 2), 5),
    "ese_vovnet57b": Aggregation((64, 64, 128), (1, 1, 4, 3), 5),
}


@network(OF_IMAGENET)
def VoVNet(variant: str, **common: Unpack[Common]) -> keras.Model:
    """VoVNetV2: blocks that aggregate all their maps at once, the last of a stage with a gate.

    [Lee and Park, "CenterMask: Real-Time Anchor-Free Instance Segmentation", CVPR 2020](
    https://arxiv.org/abs/1911.06667), section 3.2: an `EffectiveSE` behind the 1x1 convolution
    that aggregates, and a shortcut around each block but a stage's first; the gates stand in a
    stage's last block, as in [timm](https://github.com/huggingface/pytorch-image-models).

    Args:
        variant: `"ese_vovnet19b_dw"`, `"ese_vovnet39b"` or `"ese_vovnet57b"`, timm's names.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.VoVNet("ese_vovnet19b_dw", include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 1024)
    """
    check_one_of("variant", variant, VOVNETS)
    return construct(partial(_body, VOVNETS[variant]), OF_IMAGENET, variant, **common)


def _body(how: Aggregation, x: Tensor) -> Tensor:
    """From the image (B, H, W, C) to the last map (B, H / 32, W / 32, 1024)."""
    for i, (filters, strides) in enumerate(zip(how.stem, (2, 1, 2), strict=True), start=1):
        x = _conv3x3(x, filters, f"stem_conv{i}", how.depthwise and i > 1, strides=strides)
        x = norm_relu(x, "stem", str(i))
    for stage, (blocks, widths) in enumerate(zip(how.blocks, WIDTHS, strict=True), start=1):
        if stage > 1:
            x = CeilMaxPooling2D(3, 2, name=f"stage{stage}_pool")(x)
        for i in range(1, blocks + 1):
            x = _block(x, Block(stage, i, blocks), widths, how)
        x = level(x, stage + 1)
    return x


def _block(x: Tensor, block: Block, widths: tuple[int, int], how: Aggregation) -> Tensor:
    """relu(bn(conv1x1([x, y_1, ..., y_n]))), y_i = relu(bn(conv3x3(y_{i - 1}))), y_0 = x."""
    prefix, (width, filters) = block.prefix, widths
    maps, y = [x], x
    if how.depthwise and x.shape[channel_axis()] != width:
        y = norm_relu(convolution(x, width, 1, name=f"{prefix}_reduction"), f"{prefix}_reduction")
    for i in range(1, how.convolutions + 1):
        y = _conv3x3(y, width, f"{prefix}_conv{i}", how.depthwise)
        y = norm_relu(y, prefix, str(i))
        maps.append(y)
    y = layers.Concatenate(channel_axis(), name=f"{prefix}_maps")(maps)
    y = convolution(y, filters, 1, name=f"{prefix}_aggregation")
    y = norm_relu(y, f"{prefix}_aggregation")
    if block.number == block.of:
        y = EffectiveSE(name=f"{prefix}_ese")(y)
    return layers.Add(name=f"{prefix}_add")([y, x]) if block.number > 1 else y


def _conv3x3(x: Tensor, filters: int, name: str, depthwise: bool, *, strides: int = 1) -> Tensor:
    """A 3x3 convolution, or a depthwise one and a 1x1."""
    if not depthwise:
        return convolution(x, filters, strides=strides, name=name)
    x = depthwise_convolution(x, strides=strides, name=f"{name}_depthwise")
    return convolution(x, filters, 1, name=name)
