"""MnasNet-A1, plain or augmented with attention (Tan et al., 2019; Bello et al., 2019)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_attn.applications.common.blocks import channel_axis, depthwise_convolution
from keras_attn.applications.common.construction import (
    Arguments,
    check_attention,
    construct,
    constructor,
    level,
)
from keras_attn.applications.common.preprocessing import IMAGENET
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.common.pretrained import takes_weights
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.layers import AugmentedConv2D, BatchNormalization, SqueezeExcite


@dataclass(frozen=True)
class Stage:
    """Blocks of one width; the first of them strides."""

    filters: int
    blocks: int
    kernel_size: int
    strides: int
    expansion: int
    squeeze_excite: bool = False


# The authors' mnasnet_a1 (github.com/tensorflow/tpu, models/official/mnasnet/mnasnet_models.py).
STAGES = (
    Stage(16, blocks=1, kernel_size=3, strides=1, expansion=1),
    Stage(24, blocks=2, kernel_size=3, strides=2, expansion=6),
    Stage(40, blocks=3, kernel_size=5, strides=2, expansion=3, squeeze_excite=True),
    Stage(80, blocks=4, kernel_size=3, strides=2, expansion=6),
    Stage(112, blocks=2, kernel_size=3, strides=1, expansion=6, squeeze_excite=True),
    Stage(160, blocks=3, kernel_size=5, strides=2, expansion=6, squeeze_excite=True),
    Stage(320, blocks=1, kernel_size=3, strides=1, expansion=6),
)
STEM_FILTERS = 32
HEAD_FILTERS = 1280  # whatever the width
SQUEEZE = 0.25  # bottleneck of Squeeze-and-Excitation, by the channels of the block's input
DROPOUT = 0.2

# The last 13 blocks: from stage 3 on, which ends at 28x28.
FIRST_AUGMENTED = 3
LEVELS = {2: 2, 3: 3, 5: 4}  # the last stage of each stride -> its level


def _scaled(filters: int, width: float) -> int:
    """`filters` times `width`, to the next multiple of 8, less than 10% down."""
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _mnasnet(
    augmented: dict[str, Any] | None,
    width: float = 1.0,
    *,
    include_top: bool = True,
    include_preprocessing: bool = False,
    weights: str | os.PathLike | None = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    pyramid_outputs: bool | Sequence[str] = False,
    name: str | None = None,
) -> keras.Model:
    """MnasNet-A1; `augmented` are the ratios of the later blocks' expansions."""
    if isinstance(width, bool) or not isinstance(width, int | float) or not width > 0:
        raise ValueError(f"`width` must be a positive number. Received: width={width!r}")

    def activated(x: Any, prefix: str) -> Any:
        return layers.Activation("relu", name=f"{prefix}_relu")(normalised(x, prefix))

    def normalised(x: Any, prefix: str) -> Any:
        # The authors' momentum and epsilon are not those of the residual networks.
        return BatchNormalization(
            axis=channel_axis(), momentum=0.99, epsilon=1e-3, name=f"{prefix}_bn"
        )(x)

    def conv(x: Any, filters: int, prefix: str, size: int = 1, strides: int = 1) -> Any:
        return layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{prefix}_conv",
        )(x)

    def expansion(x: Any, filters: int, stage: int, side: int, prefix: str) -> Any:
        if augmented is None or stage < FIRST_AUGMENTED:
            return conv(x, filters, prefix)
        ratios, least = dict(augmented), augmented["num_heads"] / filters
        if 0 < ratios["upsilon"] < least:
            ratios["upsilon"] = least  # one value channel a head
        pooled = 2 if stage == FIRST_AUGMENTED else 1
        return AugmentedConv2D.from_ratios(
            filters,
            1,
            **ratios,
            attention_strides=pooled,
            table_size=side // pooled if None in x.shape[1:] else None,
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{prefix}_conv",
        )(x)

    def block(x: Any, number: int, first: bool, side: int, prefix: str) -> Any:
        stage = STAGES[number - 1]
        strides = stage.strides if first else 1
        shortcut, channels = x, x.shape[channel_axis()]
        if stage.expansion > 1:
            x = expansion(x, stage.expansion * channels, number, side, f"{prefix}_expand")
            x = activated(x, f"{prefix}_expand")
        x = depthwise_convolution(
            x, stage.kernel_size, strides=strides, padding="same", name=f"{prefix}_dw"
        )
        x = activated(x, f"{prefix}_dw")
        if stage.squeeze_excite:
            bottleneck = int(channels * SQUEEZE)
            x = SqueezeExcite(bottleneck_channels=bottleneck, name=f"{prefix}_se")(x)
        x = conv(x, _scaled(stage.filters, width), f"{prefix}_project")
        x = normalised(x, f"{prefix}_project")
        if strides == 1 and x.shape[channel_axis()] == channels:
            x = layers.Add(name=f"{prefix}_add")([x, shortcut])
        return x

    def features(x: Any) -> Any:
        x = conv(x, _scaled(STEM_FILTERS, width), "stem", size=3, strides=2)
        x = activated(x, "stem")
        side = 112
        for number, stage in enumerate(STAGES, start=1):
            for i in range(stage.blocks):
                x = block(x, number, i == 0, side, f"stage{number}_block{i + 1}")
                side //= stage.strides if i == 0 else 1
            if number in LEVELS:
                x = level(x, LEVELS[number])
        return level(activated(conv(x, HEAD_FILTERS, "head"), "head"), 5)

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
        name=name or f"{'aa_' if augmented else ''}mnasnet_{float(width)}",
    )
    return construct(
        arguments,
        features,
        default_size=224,
        min_size=32,
        normalisation=IMAGENET,
        dropout=DROPOUT,
    )


_ARGUMENTS = """
        include_top: Whether the network ends in its classifier.
        include_preprocessing: Whether the network takes pixels in 0..255 and normalises them.
        weights: `None` (random initialization), the path to a weights file, or a set's tag,
            `"imagenet"` or `"cifar10"` where there is one: see `keras-attn models --weights`.
        input_tensor: Optional Keras tensor to use as the image.
        input_shape: Optional shape without the batch; sides of at least 32, or `None`.
        pooling: `None`, `"avg"` or `"max"`, what follows the last map without a top.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` returns the logits.
        pyramid_outputs: Whether the network returns the last map of each stage instead, as a dict
            of the levels P2 to P5 (stride 4 to 32); or the levels that it returns.
        name: Name of the model.
""".strip()

MnasNet = constructor(
    "MnasNet",
    _mnasnet,
    None,
    f"""MnasNet-A1, the baseline of `AAMnasNet`.

    [Tan et al., "MnasNet", CVPR 2019](https://arxiv.org/abs/1807.11626), as in its
    authors' code (github.com/tensorflow/tpu, `models/official/mnasnet`): widths, the padding on
    one side of strided convolutions, momentum and epsilon of BatchNormalization, dropout.

    Args:
        width: Multiplier of the filters.
        {_ARGUMENTS}

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.MnasNet(0.75, include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 1280)
    """,
)


@takes_weights
def AAMnasNet(
    width: float = 1.0,
    *,
    include_top: bool = True,
    include_preprocessing: bool = False,
    weights: str | os.PathLike | None = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    pyramid_outputs: bool | Sequence[str] = False,
    attention: str | None = "aa",
    kappa: float = 0.1,
    upsilon: float = 0.05,
    num_heads: int = 4,
    min_key_dim: int = 20,
    name: str | None = None,
) -> keras.Model:
    """MnasNet-A1 whose later expansions are augmented with attention.

    [Bello et al., "Attention Augmented Convolutional Networks", ICCV 2019](
    https://arxiv.org/abs/1904.09925), on [Tan et al., "MnasNet", CVPR 2019](
    https://arxiv.org/abs/1807.11626), as in its authors' code (github.com/tensorflow/tpu,
    `models/official/mnasnet`). In the last 13 blocks the 1x1 convolution that widens the block's
    input is an `AugmentedConv2D`; in the first stage that has them, its attention pools by 2.

    What the paper leaves open is ours. The first of the 13 blocks strides behind its expansion,
    so that its attention stands on the 56x56 map, pooled to 28x28. Keys have at least 20
    dimensions a head, as in the paper's ResNets. Values have at least one channel a head; the
    stated ratio would leave none in stage 3.

    Args:
        width: Multiplier of the filters; the paper has 0.75, 1.0, 1.25 and 1.4.
        include_top: Whether the network ends in its classifier.
        include_preprocessing: Whether the network takes pixels in 0..255 and normalises them.
        weights: `None` (random initialization), the path to a weights file, or a set's tag,
            `"imagenet"` or `"cifar10"` where there is one: see `keras-attn models --weights`.
        input_tensor: Optional Keras tensor to use as the image.
        input_shape: Optional shape without the batch; sides of at least 32, or `None`. The tables
            of relative positions are made for it, and for 224x224 where a side is `None`.
        pooling: `None`, `"avg"` or `"max"`, what follows the last map without a top.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` returns the logits.
        pyramid_outputs: Whether the network returns the last map of each stage instead, as a dict
            of the levels P2 to P5 (stride 4 to 32); or the levels that it returns.
        attention: `"aa"`, or `None` for `MnasNet`, which has its own Squeeze-and-Excitation.
        kappa: Depth of the keys by the expansion's filters.
        upsilon: Depth of the values by the expansion's filters.
        num_heads: Number of heads.
        min_key_dim: Least depth of a key per head.
        name: Name of the model.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.AAMnasNet(0.75, include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 1280)
    """
    check_attention(attention, (None, "aa"))
    ratios = dict(kappa=kappa, upsilon=upsilon, num_heads=num_heads, min_key_dim=min_key_dim)
    return _mnasnet(
        ratios if attention else None,
        width,
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
