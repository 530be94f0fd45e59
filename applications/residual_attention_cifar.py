"""Residual Attention Networks for 32x32 images (Wang et al., CVPR 2017, section 4.1)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_attn.applications.cifar import decode_predictions as decode_predictions
from keras_attn.applications.cifar import preprocess_input as preprocess_input
from keras_attn.applications.common.blocks import convolution, norm_relu
from keras_attn.applications.common.construction import Arguments, construct, level
from keras_attn.applications.common.preprocessing import CIFAR
from keras_attn.applications.common.pretrained import takes_weights
from keras_attn.layers import AttentionModule, PreActivationBottleneck


@dataclass(frozen=True)
class Variant:
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


@takes_weights
def ResidualAttentionCIFAR(
    depth: int = 56,
    *,
    include_top: bool = True,
    include_preprocessing: bool = False,
    weights: str | os.PathLike | None = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: Any = "softmax",
    pyramid_outputs: bool | Sequence[str] = False,
    attention: str | None = "mixed",
    learning: str = "residual",
    mask_depths: tuple[int, int, int] = (3, 2, 1),
    name: str | None = None,
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
        include_top: Whether the network ends in its classifier.
        include_preprocessing: Whether the network takes pixels in 0..255 and normalises them.
        weights: `None` (random initialization), the path to a weights file, or a set's tag,
            `"imagenet"` or `"cifar10"` where there is one: see `keras-attn models --weights`.
        input_tensor: Optional Keras tensor to use as the image.
        input_shape: Optional shape without the batch; sides of at least 8, or `None`.
        pooling: `None`, `"avg"` or `"max"`, what follows the last map without a top.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` returns the logits.
        pyramid_outputs: Whether the network returns the last map of each stage instead, as a dict
            of the levels P0, P1 and P2 (stride 1, 2 and 4); or the levels that it returns.
        attention: `"mixed"`, `"channel"` or `"spatial"`, the masks' activation; `None` leaves the
            masks out, for comparisons.
        learning: `"residual"` or `"naive"`.
        mask_depths: How often the mask goes down in each stage.
        name: Name of the model.

    Returns:
        A functional `keras.Model`. By default the input is (B, 32, 32, 3), the output (B, 10).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.ResidualAttentionCIFAR(56)
    >>> model.count_params()
    1164730
    """
    if depth not in VARIANTS:
        listed = ", ".join(map(str, VARIANTS))
        raise ValueError(f"`depth` must be one of {listed}. Received: depth={depth!r}")
    if len(mask_depths) != len(FILTERS):
        raise ValueError(
            f"`mask_depths` must have one entry per stage. Received: mask_depths={mask_depths!r}"
        )
    variant = VARIANTS[depth]

    def module(x: Any, filters: int, mask_depth: int, name: str) -> Any:
        if attention is not None:
            return AttentionModule(
                mask_depth=mask_depth,
                p=variant.p,
                t=variant.t,
                r=variant.r,
                attention=attention,
                learning=learning,
                name=name,
            )(x)
        for i in range(variant.p + variant.t + variant.p):
            x = PreActivationBottleneck(filters, name=f"{name}_unit{i + 1}")(x)
        return x

    def features(x: Any) -> Any:
        x = convolution(x, 16, name="stem_conv")
        x = norm_relu(x, "stem")
        for i, (filters, mask_depth) in enumerate(zip(FILTERS, mask_depths, strict=True)):
            stage = f"stage{i + 1}"
            strides = 1 if i == 0 else 2
            x = PreActivationBottleneck(filters, strides=strides, name=f"{stage}_unit1")(x)
            for j in range(variant.modules):
                x = module(x, filters, mask_depth, f"{stage}_attention{j + 1}")
            if i < 2:
                x = level(x, i)
        for i in range(FINAL_UNITS):
            x = PreActivationBottleneck(FILTERS[-1], name=f"final_unit{i + 1}")(x)
        return level(norm_relu(x, "final"), 2)

    arguments = Arguments(
        include_top=include_top,
        include_preprocessing=include_preprocessing,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        pyramid_outputs=pyramid_outputs,
        name=name or f"residual_attention{depth}_cifar",
    )
    return construct(arguments, features, default_size=32, min_size=8, normalisation=CIFAR)
