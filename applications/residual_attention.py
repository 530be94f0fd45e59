"""Residual Attention Networks for ImageNet (Wang et al., CVPR 2017)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_attn.applications.common.blocks import convolution, norm_relu
from keras_attn.applications.common.construction import (
    Arguments,
    check_attention,
    construct,
    constructor,
    level,
)
from keras_attn.applications.common.preprocessing import IMAGENET
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.layers import AttentionModule, CeilMaxPooling2D
from keras_attn.layers.residual_attention.attention_module import UNITS


@dataclass(frozen=True)
class Variant:
    """One network.

    Attributes:
        name: Its name.
        modules: Attention modules of the stages with maps of 56, 28 and 14.
        unit: `AttentionModule`'s name of the residual unit.
        size: Side of the default input.
    """

    name: str
    modules: tuple[int, int, int]
    unit: str = "pre_activation"
    size: int = 224


FILTERS = (256, 512, 1024)
MASK_DEPTHS = (3, 2, 1)  # of all prototxts: the lowest map is 7x7 in each stage
FINAL_FILTERS, FINAL_UNITS = 2048, 3
UNITS_WITHOUT_MASK = 4  # p + t + p


def _residual_attention(
    variant: Variant,
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
    attention: str | None = "mixed",
    learning: str = "residual",
    mask: str = "caffe",
    name: str | None = None,
) -> keras.Model:
    """A Residual Attention Network for ImageNet."""
    check_attention(attention, (None, "mixed", "channel", "spatial"))
    if mask not in ("caffe", "pytorchcv"):
        raise ValueError(f"`mask` must be one of 'caffe', 'pytorchcv'. Received: mask={mask!r}")
    is_authors = mask == "caffe"
    unit = UNITS[variant.unit]
    is_pre_activation = variant.unit == "pre_activation"

    def module(x: Any, filters: int, mask_depth: int, name: str) -> Any:
        if attention is not None:
            return AttentionModule(
                mask_depth=mask_depth,
                attention=attention,
                learning=learning,
                unit=variant.unit,
                mask_pooling="ceil" if is_authors else "padded",
                add_targets=not is_authors,
                name=name,
            )(x)
        for i in range(UNITS_WITHOUT_MASK):
            x = unit(filters, name=f"{name}_unit{i + 1}")(x)
        return x

    def features(x: Any) -> Any:
        x = norm_relu(convolution(x, 64, 7, strides=2, name="stem_conv"), "stem")
        if is_authors:
            x = CeilMaxPooling2D(3, 2, name="stem_pool")(x)
        else:
            # Behind a ReLU, zeros around the map are as good as the -inf of a padded max pool.
            x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
            x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
        stages = zip(FILTERS, MASK_DEPTHS, variant.modules, strict=True)
        for stage, (filters, mask_depth, modules) in enumerate(stages, start=1):
            strides = 1 if stage == 1 else 2
            x = unit(filters, strides=strides, name=f"stage{stage}_unit1")(x)
            for i in range(modules):
                x = module(x, filters, mask_depth, f"stage{stage}_attention{i + 1}")
            x = level(x, stage + 1)
        for i in range(FINAL_UNITS):
            strides = 2 if i == 0 else 1
            x = unit(FINAL_FILTERS, strides=strides, name=f"stage4_unit{i + 1}")(x)
        return level(norm_relu(x, "final") if is_pre_activation else x, 5)

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
        name=name or variant.name,
    )
    return construct(
        arguments, features, default_size=variant.size, min_size=32, normalisation=IMAGENET
    )


_DOC = """{summary}

    [Wang et al., "Residual Attention Network for Image Classification", CVPR 2017](
    https://arxiv.org/abs/1704.06904). {source}

    A map is pooled globally before the classifier, where the prototxts have a window of 7x7: the
    same at 224, and larger images can be used.

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
        attention: `"mixed"`, `"channel"` or `"spatial"`, the masks' activation; `None` leaves the
            masks out, for comparisons.
        learning: `"residual"` or `"naive"`.
        mask: `"caffe"`, the authors' network, or `"pytorchcv"`, that of the weights that exist
            for Attention-56: all max pools are padded by 1, and in the mask an upsampled map gets
            the tensor added whose size it takes. A weights file fits both, but is right in one
            only.
        name: Name of the model.

    Returns:
        A functional `keras.Model`. By default the input is (B, {size}, {size}, 3), the output
        (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.{name}(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """


def _constructor(
    name: str, variant: Variant, summary: str, source: str
) -> Callable[..., keras.Model]:
    doc = _DOC.format(name=name, summary=summary, source=source, size=variant.size)
    return constructor(name, _residual_attention, variant, doc)


ResidualAttention56 = _constructor(
    "ResidualAttention56",
    Variant("residual_attention56", modules=(1, 1, 1)),
    "Attention-56: one attention module in each of three stages.",
    """Source: the authors' prototxt
    `Attention-56` (github.com/fwang91/residual-attention-network).""",
)
ResidualAttention92 = _constructor(
    "ResidualAttention92",
    Variant("residual_attention92", modules=(1, 2, 3)),
    "Attention-92: one, two and three attention modules in three stages.",
    """Source: the authors' prototxt
    `Attention-92` (github.com/fwang91/residual-attention-network), which has 52.5M trainable
    parameters where the paper says 51.3M.""",
)
ResidualAttentionNeXt56 = _constructor(
    "ResidualAttentionNeXt56",
    Variant("residual_attention_next56", modules=(1, 1, 1), unit="resnext"),
    "AttentionNeXt-56: Attention-56 with ResNeXt units of 32 groups.",
    """Source: the authors' prototxt
    `AttentionNeXt-56` (github.com/fwang91/residual-attention-network).""",
)
ResidualAttentionNeXt92 = _constructor(
    "ResidualAttentionNeXt92",
    Variant("residual_attention_next92", modules=(1, 2, 3), unit="resnext"),
    "AttentionNeXt-92: Attention-92 with ResNeXt units of 32 groups.",
    """Source: the authors' prototxt
    `AttentionNeXt-92` (github.com/fwang91/residual-attention-network). As released, its
    classifier reads a blob that no layer makes; it is taken to be the pooled map.""",
)
ResidualAttentionInception56 = _constructor(
    "ResidualAttentionInception56",
    Variant("residual_attention_inception56", modules=(1, 1, 1), unit="inception", size=299),
    "AttentionInception-56: Attention-56 with units like those of Inception-ResNet.",
    """The paper has errors of such
    a network, but its authors released no prototxt of it, and no table of its layers is known to
    us. The unit (`InceptionResNetUnit`) and its widths are our design, and so is that all else is
    as in AttentionNeXt-56, and the default size of 299. It has 34.1M parameters.""",
)
