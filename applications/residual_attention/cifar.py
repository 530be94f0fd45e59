"""Residual Attention Networks for 32x32 images (Wang et al., CVPR 2017, section 4.1)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Unpack

import keras

from keras_attn._checks import check_one_of
from keras_attn.applications.cifar import decode_predictions as decode_predictions
from keras_attn.applications.cifar import preprocess_input as preprocess_input
from keras_attn.applications.common.blocks import convolution, norm_relu
from keras_attn.applications.common.construction import OF_CIFAR10, construct, level
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.residual_attention.modules import Learning, MaskActivation, Modules
from keras_attn.layers import PreActivationBottleneck
from keras_attn.typing import Tensor


class Variant(NamedTuple):
    """Modules in every stage, and the paper's {p, t, r}."""

    modules: int
    p: int = 1
    t: int = 2
    r: int = 1


# Paper, section 4.1: depth 36 m + 20 with m modules in every stage; Attention-452 has deeper ones.
VARIANTS = {
    56: Variant(modules=1),
    92: Variant(modules=2),
    128: Variant(modules=3),
    164: Variant(modules=4),
    236: Variant(modules=6),
    452: Variant(modules=6, p=2, t=4, r=3),
}

FILTERS = (64, 128, 256)  # four times the bottlenecks' 16, 32, 64
FINAL_UNITS = 3


@network(OF_CIFAR10)
def ResidualAttentionCIFAR(
    depth: int = 56,
    *,
    mask_activation: MaskActivation = "mixed",
    masks: bool = True,
    learning: Learning = "residual",
    mask_depths: tuple[int, int, int] = (3, 2, 1),
    **common: Unpack[Common],
) -> keras.Model:
    """Residual Attention Network for CIFAR: three stages at 32, 16 and 8 pixels.

    [Wang et al., "Residual Attention Network for Image Classification", CVPR 2017](
    https://arxiv.org/abs/1704.06904), section 4.1. The authors did not release these networks.
    What the paper's parameter counts settle is taken from them: bottlenecks of 16, 32 and 64
    channels, and three final units of 256 channels. What they leave open is ours: the stem (3x3,
    stride 1, 16 filters, no pooling) and the mask's depth in each stage. How Attention-452's
    r = 3 spreads over the mask is not known either; see `AttentionModule` for the rule here.

    Args:
        depth: 56, 92, 128, 164, 236 or 452.
        mask_activation: `"mixed"`, `"channel"` or `"spatial"`.
        masks: Whether there are masks; without them it is a network of the same trunk, for
            comparisons.
        learning: `"residual"` or `"naive"`.
        mask_depths: How often the mask goes down in each stage.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 32, 32, 3), the output (B, 10).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.ResidualAttentionCIFAR(56)
    >>> model.count_params()
    1164730
    """
    check_one_of("depth", depth, VARIANTS)
    if len(mask_depths) != len(FILTERS):
        raise ValueError(
            f"`mask_depths` must have one entry per stage. Received: mask_depths={mask_depths!r}"
        )
    variant = VARIANTS[depth]
    options = {"r": variant.r}
    modules = Modules(mask_activation, masks, learning, p=variant.p, t=variant.t, options=options)
    body = partial(_body, variant.modules, modules, mask_depths)
    return construct(body, OF_CIFAR10, f"residual_attention{depth}_cifar", **common)


def _body(count: int, modules: Modules, mask_depths: tuple[int, int, int], x: Tensor) -> Tensor:
    """From the image (B, H, W, C) to the last map (B, H / 4, W / 4, 256)."""
    x = norm_relu(convolution(x, 16, name="stem_conv"), "stem")
    for i, (filters, mask_depth) in enumerate(zip(FILTERS, mask_depths, strict=True)):
        stage = f"stage{i + 1}"
        strides = 1 if i == 0 else 2
        x = PreActivationBottleneck(filters, strides=strides, name=f"{stage}_unit1")(x)
        for j in range(count):
            x = modules(x, filters, mask_depth, f"{stage}_attention{j + 1}")
        if i < 2:
            x = level(x, i)
    for i in range(FINAL_UNITS):
        x = PreActivationBottleneck(FILTERS[-1], name=f"final_unit{i + 1}")(x)
    return level(norm_relu(x, "final"), 2)
