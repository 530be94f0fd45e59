"""ShuffleNet with Squeeze-and-Excitation (Zhang et al. and Hu et al., both CVPR 2018)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_attn.applications.common.blocks import (
    channel_axis,
    convolution,
    depthwise_convolution,
    norm,
    norm_relu,
)
from keras_attn.applications.common.construction import Arguments, check_attention, construct, level
from keras_attn.applications.common.preprocessing import IMAGENET
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.common.pretrained import takes_weights
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.layers import ChannelShuffle2D, SqueezeExcite

# Table 1 of the paper, the column of 3 groups.
GROUPS = 3
STEM_FILTERS = 24
STAGES = ((240, 4), (480, 8), (960, 4))  # filters, units; the first unit of each strides


@takes_weights
def SEShuffleNet(
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
    attention: str | None = "se",
    ratio: int = 16,
    name: str | None = None,
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
        attention: `"se"`, or `None` for ShuffleNet.
        ratio: Reduction of the `SqueezeExcite`s.
        name: Name of the model.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.SEShuffleNet(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 960)
    """
    check_attention(attention, (None, "se"))

    def unit(x: Any, filters: int, strides: int, first: bool, prefix: str) -> Any:
        shortcut = x
        width = filters // 4
        if strides > 1:
            filters -= x.shape[channel_axis()]  # the shortcut's channels stand beside them
        # The stem's channels are few: the first unit's first convolution has no groups.
        x = convolution(x, width, 1, groups=1 if first else GROUPS, name=f"{prefix}_conv1")
        x = norm_relu(x, prefix, "1")
        x = ChannelShuffle2D(GROUPS, name=f"{prefix}_shuffle")(x)
        x = depthwise_convolution(x, strides=strides, name=f"{prefix}_dw")
        x = norm(x, f"{prefix}_bn2")
        x = convolution(x, filters, 1, groups=GROUPS, name=f"{prefix}_conv3")
        x = norm(x, f"{prefix}_bn3")
        if attention == "se":
            x = SqueezeExcite(ratio, name=f"{prefix}_se")(x)
        if strides > 1:
            shortcut = layers.ZeroPadding2D(1, name=f"{prefix}_shortcut_pad")(shortcut)
            shortcut = layers.AveragePooling2D(3, strides, name=f"{prefix}_shortcut_pool")(shortcut)
            x = layers.Concatenate(channel_axis(), name=f"{prefix}_concat")([shortcut, x])
        else:
            x = layers.Add(name=f"{prefix}_add")([shortcut, x])
        return layers.Activation("relu", name=f"{prefix}_relu3")(x)

    def features(x: Any) -> Any:
        x = norm_relu(convolution(x, STEM_FILTERS, strides=2, name="stem_conv"), "stem")
        # Behind a ReLU, zeros around the map are as good as the -inf of a padded max pool.
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
        x = level(layers.MaxPooling2D(3, 2, name="stem_pool")(x), 2)
        for stage, (filters, units) in enumerate(STAGES, start=2):
            for i in range(units):
                strides = 2 if i == 0 else 1
                x = unit(x, filters, strides, stage == 2 and i == 0, f"stage{stage}_block{i + 1}")
            x = level(x, stage + 1)
        return x

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
        name=name or ("se_shufflenet" if attention else "shufflenet"),
    )
    return construct(arguments, features, default_size=224, min_size=32, normalisation=IMAGENET)
