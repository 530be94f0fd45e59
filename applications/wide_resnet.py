"""Wide residual networks for 32x32 images, plain or augmented with attention (ICCV 2019)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_attn.applications.cifar import decode_predictions as decode_predictions
from keras_attn.applications.cifar import preprocess_input as preprocess_input
from keras_attn.applications.common.blocks import norm, norm_relu
from keras_attn.applications.common.construction import (
    Arguments,
    check_attention,
    construct,
    constructor,
    level,
)
from keras_attn.applications.common.preprocessing import CIFAR
from keras_attn.applications.common.pretrained import takes_weights
from keras_attn.layers import AugmentedConv2D, ZeroPaddingShortcut2D

BLOCKS = 4
STEM_FILTERS = 16
FILTERS = (160, 320, 640)


def _wide_resnet(
    augmented: dict[str, Any] | None,
    *,
    include_top: bool = True,
    include_preprocessing: bool = False,
    weights: str | os.PathLike | None = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: Any = "softmax",
    pyramid_outputs: bool | Sequence[str] = False,
    name: str | None = None,
) -> keras.Model:
    """Wide-ResNet-28-10; `augmented` are the ratios of each block's first convolution."""

    def conv(x: Any, filters: int, name: str, strides: int = 1) -> Any:
        return layers.Conv2D(
            filters,
            3,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
        )(x)

    def first_conv(x: Any, filters: int, name: str, strides: int, side: int) -> Any:
        if augmented is None:
            return conv(x, filters, name, strides)
        return AugmentedConv2D.from_ratios(
            filters,
            3,
            strides=strides,
            table_size=side if None in x.shape[1:] else None,
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
            **augmented,
        )(x)

    def block(x: Any, stage: int, strides: int, is_first: bool, prefix: str) -> Any:
        filters, side = FILTERS[stage - 1], 32 >> (stage - 1)
        shortcut = x
        x = norm_relu(x, prefix, "1")
        if is_first:
            shortcut = x  # the stem has no BatchNormalization of its own
        x = first_conv(x, filters, f"{prefix}_conv1", strides, side)
        x = conv(norm_relu(x, prefix, "2"), filters, f"{prefix}_conv2")
        if shortcut.shape != x.shape:
            shortcut = ZeroPaddingShortcut2D(
                filters, strides=strides, pooling="average", name=f"{prefix}_shortcut"
            )(shortcut)
        return layers.Add(name=f"{prefix}_add")([x, shortcut])

    def features(x: Any) -> Any:
        x = conv(x, STEM_FILTERS, "stem_conv")
        for stage in (1, 2, 3):
            for i in range(BLOCKS):
                strides = 2 if stage > 1 and i == 0 else 1
                x = block(x, stage, strides, stage == 1 and i == 0, f"stage{stage}_block{i + 1}")
            if stage < 3:
                x = level(x, stage - 1)
        x = norm(x, "final_bn")
        return level(layers.Activation("relu", name="final_relu")(x), 2)

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
        name=name or ("aa_wide_resnet28x10" if augmented else "wide_resnet28x10"),
    )
    return construct(arguments, features, default_size=32, min_size=8, normalisation=CIFAR)


_ARGUMENTS = """
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
        name: Name of the model.
""".strip()

WideResNet28x10 = constructor(
    "WideResNet28x10",
    _wide_resnet,
    None,
    f"""Wide-ResNet-28-10 for CIFAR-100, with shortcuts without parameters.

    [Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016](
    https://arxiv.org/abs/1605.07146): pre-activation blocks of two 3x3 convolutions, four in each
    of three stages. It is the baseline of `AAWideResNet28x10`, whose docstring says more.

    Args:
        {_ARGUMENTS}

    Returns:
        A functional `keras.Model`. By default the input is (B, 32, 32, 3), the output (B, 100).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.WideResNet28x10(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 640)
    """,
)


@takes_weights
def AAWideResNet28x10(
    *,
    include_top: bool = True,
    include_preprocessing: bool = False,
    weights: str | os.PathLike | None = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: Any = "softmax",
    pyramid_outputs: bool | Sequence[str] = False,
    attention: str | None = "aa",
    kappa: float = 0.2,
    upsilon: float = 0.1,
    num_heads: int = 8,
    min_key_dim: int = 20,
    name: str | None = None,
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
        include_top: Whether the network ends in its classifier.
        include_preprocessing: Whether the network takes pixels in 0..255 and normalises them.
        weights: `None` (random initialization), the path to a weights file, or a set's tag,
            `"imagenet"` or `"cifar10"` where there is one: see `keras-attn models --weights`.
        input_tensor: Optional Keras tensor to use as the image.
        input_shape: Optional shape without the batch; sides of at least 8, or `None`. The tables
            of relative positions are made for it, and for 32x32 where a side is `None`.
        pooling: `None`, `"avg"` or `"max"`, what follows the last map without a top.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` returns the logits.
        pyramid_outputs: Whether the network returns the last map of each stage instead, as a dict
            of the levels P0, P1 and P2 (stride 1, 2 and 4); or the levels that it returns.
        attention: `"aa"`, or `None` for `WideResNet28x10`.
        kappa: Depth of the keys by the convolution's filters.
        upsilon: Depth of the values by the convolution's filters.
        num_heads: Number of heads.
        min_key_dim: Least depth of a key per head.
        name: Name of the model.

    Returns:
        A functional `keras.Model`. By default the input is (B, 32, 32, 3), the output (B, 100).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.AAWideResNet28x10(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 640)
    """
    check_attention(attention, (None, "aa"))
    ratios = dict(kappa=kappa, upsilon=upsilon, num_heads=num_heads, min_key_dim=min_key_dim)
    return _wide_resnet(
        ratios if attention else None,
        include_top=include_top,
        include_preprocessing=include_preprocessing,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        pyramid_outputs=pyramid_outputs,
        name=name,
    )
