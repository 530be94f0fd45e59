"""MobileNet with Squeeze-and-Excitation (Howard et al., 2017; Hu et al., CVPR 2018)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras

from keras_attn.applications.common.blocks import (
    convolution,
    depthwise_convolution,
    norm_relu,
)
from keras_attn.applications.common.construction import Arguments, check_attention, construct, level
from keras_attn.applications.common.preprocessing import IMAGENET
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.common.pretrained import takes_weights
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.layers import SqueezeExcite

STEM_FILTERS = 32
# Filters and blocks of each stage; all but the first begin with stride 2.
STAGES = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))


@takes_weights
def SEMobileNet(
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
    """MobileNet 1.0 with a `SqueezeExcite` behind each pointwise convolution.

    [Howard et al., "MobileNets", 2017](https://arxiv.org/abs/1704.04861), table 1, with
    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507).
    The authors of the latter released no file of this network. Where its 13 blocks stand settles
    the number of their parameters: 486,068 for one at each pointwise convolution, the 4.2M and
    4.7M of the paper. That a block follows the ReLU is the paper's rule for networks without
    shortcuts. Sizes and padding are those of the prototxt in github.com/shicai/MobileNet-Caffe
    (`mobilenet_deploy.prototxt`).

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
        attention: `"se"`, or `None` for MobileNet.
        ratio: Reduction of the `SqueezeExcite`s.
        name: Name of the model.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.SEMobileNet(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 1024)
    """
    check_attention(attention, (None, "se"))

    def block(x: Any, filters: int, strides: int, prefix: str) -> Any:
        x = depthwise_convolution(x, strides=strides, name=f"{prefix}_dw")
        x = norm_relu(x, prefix, "1")
        x = norm_relu(convolution(x, filters, 1, name=f"{prefix}_pw"), prefix, "2")
        return SqueezeExcite(ratio, name=f"{prefix}_se")(x) if attention == "se" else x

    def features(x: Any) -> Any:
        x = norm_relu(convolution(x, STEM_FILTERS, strides=2, name="stem_conv"), "stem")
        for stage, (filters, blocks) in enumerate(STAGES, start=1):
            for i in range(blocks):
                strides = 2 if stage > 1 and i == 0 else 1
                x = block(x, filters, strides, f"stage{stage}_block{i + 1}")
            if stage > 1:
                x = level(x, stage)
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
        name=name or ("se_mobilenet" if attention else "mobilenet"),
    )
    return construct(arguments, features, default_size=224, min_size=32, normalisation=IMAGENET)
