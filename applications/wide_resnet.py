"""Wide residual networks for 32x32 images, plain or with attention (BMVC 2016, ICCV 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, Unpack

import keras
from keras import layers

from keras_attn.applications.cifar import decode_predictions as decode_predictions
from keras_attn.applications.cifar import preprocess_input as preprocess_input
from keras_attn.applications.common.blocks import norm, norm_relu, same_convolution
from keras_attn.applications.common.construction import OF_CIFAR100, construct, level
from keras_attn.applications.common.network import Common, network
from keras_attn.kinds import (
    PLACEMENTS,
    Attention,
    AttentionLike,
    Block,
    Placement,
    Places,
    Positions,
    one_kind,
)
from keras_attn.layers import ZeroPaddingShortcut2D
from keras_attn.typing import Tensor

BLOCKS = 4
STEM_FILTERS = 16
FILTERS = (160, 320, 640)
SIDES = (32, 16, 8)  # of the stages' maps
# The blocks have two 3x3 convolutions.
PLACES = Places((1, 2, 3), [x for x in PLACEMENTS if x != "3x3"])


@network(OF_CIFAR100)
def WideResNet28x10(
    *,
    attention: AttentionLike | None = None,
    stages: Sequence[int] | None = None,
    placement: Placement | None = None,
    **common: Unpack[Common],
) -> keras.Model:
    """Wide-ResNet-28-10 for CIFAR-100, with shortcuts without parameters.

    [Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016](
    https://arxiv.org/abs/1605.07146): pre-activation blocks of two 3x3 convolutions, four in each
    of three stages. It is the baseline of `AAWideResNet28x10`, whose docstring says more.

    Args:
        attention: As in `CIFARResNet`; `"aa"` is `AAWideResNet28x10`.
        stages: The stages (1 to 3) that have attention. By default those of its paper.
        placement: Where a block has its attention: at the end of the branch (`"standard"`),
            before the branch (`"pre"`), behind the sum (`"post"`), on the shortcut
            (`"identity"`), or instead of the first 3x3 convolution (`"convolution"`, for what
            makes a map of its own). By default as in its paper.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 32, 32, 3), the output (B, 100).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.WideResNet28x10(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 640)
    """
    return _wide_resnet(Attention(attention, stages, placement, places=PLACES), **common)


@network(OF_CIFAR100)
def AAWideResNet28x10(
    *,
    attention: Literal["aa"] | None = "aa",
    stages: Sequence[int] | None = None,
    kappa: float = 0.2,
    upsilon: float = 0.1,
    num_heads: int = 8,
    min_key_dim: int = 20,
    positions: Positions = "relative",
    **common: Unpack[Common],
) -> keras.Model:
    """Wide-ResNet-28-10 whose blocks' first convolutions are augmented with attention.

    [Bello et al., "Attention Augmented Convolutional Networks", ICCV 2019](
    https://arxiv.org/abs/1904.09925), on CIFAR-100. All twelve blocks have an `AugmentedConv2D`,
    and none pools before its attention, so that the maps of 32x32 places take 32 MiB a layer and
    image in float32.

    The shortcuts between stages average and pad with zeros, as in the code of AutoAugment
    (github.com/tensorflow/models, `research/autoaugment/wrn.py`): with them the baseline has the
    paper's 36.3M parameters. That code also adds each stage's input to its output, and the stem's
    to the last; Wide-ResNets have no such sums, nor has this network.

    The paper's 36.2M parameters are not met: the placement that it states has 36,054,100. Tables
    of relative positions for each head would give 36.18M, but the paper shares them, and its
    ResNets' counts agree only with shared ones.

    Args:
        attention: `"aa"`, or `None` for `WideResNet28x10`.
        stages: The stages (1 to 3) with attention; by default all.
        kappa: Depth of the keys by the convolution's filters.
        upsilon: Depth of the values by the convolution's filters.
        num_heads: Number of heads.
        min_key_dim: Least depth of a key per head.
        positions: How attention knows where a pixel is: tables of `"relative"` positions,
            `"sinusoidal"` ones added to the input, `"coordinates"` appended to it, or `"none"`.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 32, 32, 3), the output (B, 100).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.AAWideResNet28x10(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 640)
    """
    options = {
        "kappa": kappa,
        "upsilon": upsilon,
        "num_heads": num_heads,
        "min_key_dim": min_key_dim,
        "positions": positions,
    }
    asked = Attention(one_kind("aa", attention), stages, None, options, PLACES)
    return _wide_resnet(asked, **common)


def _wide_resnet(attention: Attention, **common: Unpack[Common]) -> keras.Model:
    name = f"{attention.name}_wide_resnet28x10" if attention.name else "wide_resnet28x10"
    return construct(attention.everywhere(partial(_body, attention)), OF_CIFAR100, name, **common)


def _body(attention: Attention, x: Tensor) -> Tensor:
    """From the image (B, H, W, C) to the last map (B, H / 4, W / 4, 640)."""
    x = same_convolution(x, STEM_FILTERS, name="stem_conv")
    for stage, side in enumerate(SIDES, start=1):
        for i in range(BLOCKS):
            block = Block(stage, i + 1, BLOCKS, side)
            x = _block(x, block, 2 if stage > 1 and i == 0 else 1, attention)
        if stage < len(SIDES):
            x = level(x, stage - 1)
    x = norm(x, "final_bn")
    return level(layers.Activation("relu", name="final_relu")(x), 2)


def _block(x: Tensor, block: Block, strides: int, attention: Attention) -> Tensor:
    """branch(x) + shortcut(x), where the branch begins with its BatchNormalization and ReLU."""
    filters, prefix = FILTERS[block.stage - 1], block.prefix
    attend = attention.within(block)
    is_first = block.stage == block.number == 1
    shortcut = None if is_first else attend(x, "identity")
    x = norm_relu(attend(x, "pre"), prefix, "1")
    if shortcut is None:
        shortcut = attend(x, "identity")  # the stem has no BatchNormalization of its own
    x = attend.convolution(
        x,
        same_convolution,
        partial(norm_relu, prefix=prefix, suffix="2"),
        filters=filters,
        strides=strides,
        name=f"{prefix}_conv1",
    )
    x = attend(same_convolution(x, filters, name=f"{prefix}_conv2"), "standard")
    if shortcut.shape != x.shape:
        shortcut = ZeroPaddingShortcut2D(
            filters, strides=strides, pooling="average", name=f"{prefix}_shortcut"
        )(shortcut)
    return attend(layers.Add(name=f"{prefix}_add")([x, shortcut]), "post")
