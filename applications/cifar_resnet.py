"""Residual networks for 32x32 images, plain or with attention (He et al., CVPR 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Unpack

import keras
from keras import layers

from keras_attn.applications.cifar import decode_predictions as decode_predictions
from keras_attn.applications.cifar import preprocess_input as preprocess_input
from keras_attn.applications.common.blocks import convolution, norm, norm_relu
from keras_attn.applications.common.construction import OF_CIFAR10, construct, level
from keras_attn.applications.common.network import Common, network
from keras_attn.kinds import (
    PLACEMENTS,
    Attention,
    AttentionLike,
    Block,
    Placement,
    Places,
    Positions,
)
from keras_attn.layers import ZeroPaddingShortcut2D
from keras_attn.typing import Tensor

FILTERS = (16, 32, 64)
SIDES = (32, 16, 8)  # of the stages' maps
# The blocks have two 3x3 convolutions.
PLACES = Places((1, 2, 3), [x for x in PLACEMENTS if x != "3x3"], usual={"aa": {"stages": (2, 3)}})


@network(OF_CIFAR10)
def CIFARResNet(
    depth: int = 20,
    *,
    attention: AttentionLike | None = None,
    stages: Sequence[int] | None = None,
    placement: Placement | None = None,
    ratio: int | None = None,
    kappa: float | None = None,
    upsilon: float | None = None,
    positions: Positions | None = None,
    **common: Unpack[Common],
) -> keras.Model:
    """Residual network for CIFAR: three stages of basic blocks at 32, 16 and 8 pixels.

    [He et al., "Deep Residual Learning for Image Recognition", CVPR 2016](
    https://arxiv.org/abs/1512.03385), section 4.2: 16, 32 and 64 filters, shortcuts without
    parameters (option A). With `attention="se"` each block's branch ends in a `SqueezeExcite`;
    with `"aa"` each block's first convolution is an `AugmentedConv2D` with 4 heads,
    kappa = upsilon = 0.25 and at least 4 dimensions per key, as these nets are narrow.

    Args:
        depth: 6 n + 2 for n blocks in each stage: 20, 32, 44, 56, 110, ...
        attention: `None`; the name of a kind, such as `"se"`, `"aa"`, `"cbam"` or `"eca"`; a name
            and options, such as `("aa", {"num_heads": 2})`; a layer of `keras_attn.layers`, of
            which each block has a copy with weights of its own; or a function of stage and block,
            both from 1 on, that gives one of these. `keras_attn.kinds.KINDS` has all names, and
            where each kind stands.
        stages: The stages (1 to 3) that have attention. By default those of its paper; 2 and 3
            with `"aa"`: the maps of 1024 places in stage 1 would take most of the time.
        placement: Where a block has its attention: at the end of the branch (`"standard"`),
            before the branch (`"pre"`), behind the sum and its ReLU (`"post"`), on the shortcut
            (`"identity"`), or instead of the first 3x3 convolution (`"convolution"`, for what
            makes a map of its own). By default as in its paper.
        ratio: Reduction of the bottleneck, in the kinds that have one; by default the kind's own.
        kappa: With `"aa"`, the depth of the keys, in (0, 1] of the convolution's filters.
        upsilon: With `"aa"`, the depth of the values, in [0, 1] of the convolution's filters.
        positions: With `"aa"` and `"self_attention"`, how attention knows where a pixel is: tables
            of `"relative"` positions, `"sinusoidal"` ones added to the input, `"coordinates"`
            appended to it, or `"none"`.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 32, 32, 3), the output (B, 10).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.CIFARResNet(20, attention="se")
    >>> model.output_shape
    (None, 10)
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 8 or (depth - 2) % 6:
        raise ValueError(f"`depth` must be 6 n + 2 with n at least 1. Received: depth={depth!r}")
    options = {"ratio": ratio, "kappa": kappa, "upsilon": upsilon, "positions": positions}
    asked = Attention(attention, stages, placement, options, PLACES)
    name = f"{asked.name}_resnet{depth}_cifar" if asked.name else f"resnet{depth}_cifar"
    body = asked.everywhere(partial(_body, (depth - 2) // 6, asked))
    return construct(body, OF_CIFAR10, name, **common)


def _body(blocks: int, attention: Attention, x: Tensor) -> Tensor:
    """From the image (B, H, W, C) to the last map (B, H / 4, W / 4, 64)."""
    x = norm_relu(convolution(x, FILTERS[0], name="stem_conv"), "stem")
    for stage, side in enumerate(SIDES, start=1):
        for i in range(blocks):
            block = Block(stage, i + 1, blocks, side)
            x = _block(x, block, 2 if stage > 1 and i == 0 else 1, attention)
        x = level(x, stage - 1)
    return x


def _block(x: Tensor, block: Block, strides: int, attention: Attention) -> Tensor:
    """relu(branch(x) + shortcut(x))."""
    filters, prefix = FILTERS[block.stage - 1], block.prefix
    attend = attention.within(block)
    shortcut = attend(x, "identity")
    x = attend(x, "pre")
    x = attend.convolution(
        x,
        convolution,
        partial(norm_relu, prefix=prefix, suffix="1"),
        filters=filters,
        strides=strides,
        name=f"{prefix}_conv1",
    )
    x = norm(convolution(x, filters, name=f"{prefix}_conv2"), f"{prefix}_bn2")
    x = attend(x, "standard")
    if strides > 1:
        padding = ZeroPaddingShortcut2D(filters, strides=strides, name=f"{prefix}_shortcut")
        shortcut = padding(shortcut)
    x = layers.Add(name=f"{prefix}_add")([x, shortcut])
    x = layers.Activation("relu", name=f"{prefix}_relu2")(x)
    return attend(x, "post")
