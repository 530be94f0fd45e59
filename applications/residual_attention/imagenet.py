"""Residual Attention Networks for ImageNet (Wang et al., CVPR 2017)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple, TypeAlias, Unpack

import keras

from keras_attn._checks import check_one_of
from keras_attn.applications.common.blocks import convolution, norm_relu, padded_max_pool
from keras_attn.applications.common.construction import OF_IMAGENET, Images, construct, level
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.applications.residual_attention.modules import Learning, MaskActivation, Modules
from keras_attn.layers import CeilMaxPooling2D
from keras_attn.layers.residual_attention.attention_module import UNITS
from keras_attn.typing import Tensor

Geometry: TypeAlias = Literal["caffe", "pytorchcv"]


class Variant(NamedTuple):
    """One network.

    Attributes:
        name: Its name.
        modules: Attention modules of the stages with maps of 56, 28 and 14.
        unit: `AttentionModule`'s name of the residual unit.
    """

    name: str
    modules: tuple[int, int, int]
    unit: str = "pre_activation"


FILTERS = (256, 512, 1024)
MASK_DEPTHS = (3, 2, 1)  # of all prototxts: the lowest map is 7x7 in each stage
FINAL_FILTERS, FINAL_UNITS = 2048, 3
OF_299 = replace(OF_IMAGENET, size=299)


@network(OF_IMAGENET)
def ResidualAttention56(
    *,
    mask_activation: MaskActivation = "mixed",
    masks: bool = True,
    learning: Learning = "residual",
    geometry: Geometry = "caffe",
    **common: Unpack[Common],
) -> keras.Model:
    """Attention-56: one attention module in each of three stages.

    [Wang et al., "Residual Attention Network for Image Classification", CVPR 2017](
    https://arxiv.org/abs/1704.06904). Source: the authors' prototxt
    `Attention-56` (github.com/fwang91/residual-attention-network).

    A map is pooled globally before the classifier, where the prototxts have a window of 7x7: the
    same at 224, and larger images can be used.

    Args:
        mask_activation: `"mixed"`, `"channel"` or `"spatial"`.
        masks: Whether there are masks; without them it is a network of the same trunk, for
            comparisons.
        learning: `"residual"` or `"naive"`.
        geometry: `"caffe"`, the authors' network, or `"pytorchcv"`, that of the weights that exist
            for Attention-56: all max pools are padded by 1, and in the mask an upsampled map gets
            the tensor added whose size it takes. A weights file fits both, but is right in one
            only.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.ResidualAttention56(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = Variant("residual_attention56", (1, 1, 1))
    return _residual_attention(
        variant, OF_IMAGENET, mask_activation, masks, learning, geometry, **common
    )


@network(OF_IMAGENET, like=ResidualAttention56)
def ResidualAttention92(
    *,
    mask_activation: MaskActivation = "mixed",
    masks: bool = True,
    learning: Learning = "residual",
    geometry: Geometry = "caffe",
    **common: Unpack[Common],
) -> keras.Model:
    """Attention-92: one, two and three attention modules in three stages.

    [Wang et al., "Residual Attention Network for Image Classification", CVPR 2017](
    https://arxiv.org/abs/1704.06904). Source: the authors' prototxt
    `Attention-92` (github.com/fwang91/residual-attention-network), which has 52.5M trainable
    parameters where the paper says 51.3M.

    Example:

    >>> model = keras_attn.applications.ResidualAttention92(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = Variant("residual_attention92", (1, 2, 3))
    return _residual_attention(
        variant, OF_IMAGENET, mask_activation, masks, learning, geometry, **common
    )


@network(OF_IMAGENET, like=ResidualAttention56)
def ResidualAttentionNeXt56(
    *,
    mask_activation: MaskActivation = "mixed",
    masks: bool = True,
    learning: Learning = "residual",
    geometry: Geometry = "caffe",
    **common: Unpack[Common],
) -> keras.Model:
    """AttentionNeXt-56: Attention-56 with ResNeXt units of 32 groups.

    [Wang et al., "Residual Attention Network for Image Classification", CVPR 2017](
    https://arxiv.org/abs/1704.06904). Source: the authors' prototxt
    `AttentionNeXt-56` (github.com/fwang91/residual-attention-network).

    Example:

    >>> model = keras_attn.applications.ResidualAttentionNeXt56(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = Variant("residual_attention_next56", (1, 1, 1), "resnext")
    return _residual_attention(
        variant, OF_IMAGENET, mask_activation, masks, learning, geometry, **common
    )


@network(OF_IMAGENET, like=ResidualAttention56)
def ResidualAttentionNeXt92(
    *,
    mask_activation: MaskActivation = "mixed",
    masks: bool = True,
    learning: Learning = "residual",
    geometry: Geometry = "caffe",
    **common: Unpack[Common],
) -> keras.Model:
    """AttentionNeXt-92: Attention-92 with ResNeXt units of 32 groups.

    [Wang et al., "Residual Attention Network for Image Classification", CVPR 2017](
    https://arxiv.org/abs/1704.06904). Source: the authors' prototxt
    `AttentionNeXt-92` (github.com/fwang91/residual-attention-network). As released, its
    classifier reads a blob that no layer makes; it is taken to be the pooled map.

    Example:

    >>> model = keras_attn.applications.ResidualAttentionNeXt92(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = Variant("residual_attention_next92", (1, 2, 3), "resnext")
    return _residual_attention(
        variant, OF_IMAGENET, mask_activation, masks, learning, geometry, **common
    )


@network(OF_299, like=ResidualAttention56)
def ResidualAttentionInception56(
    *,
    mask_activation: MaskActivation = "mixed",
    masks: bool = True,
    learning: Learning = "residual",
    geometry: Geometry = "caffe",
    **common: Unpack[Common],
) -> keras.Model:
    """AttentionInception-56: Attention-56 with units like those of Inception-ResNet.

    [Wang et al., "Residual Attention Network for Image Classification", CVPR 2017](
    https://arxiv.org/abs/1704.06904). The paper has errors of such
    a network, but its authors released no prototxt of it, and no table of its layers is known to
    us. The unit (`InceptionResNetUnit`) and its widths are our design, and so is that all else is
    as in AttentionNeXt-56, and the default size of 299. It has 34.1M parameters.

    Returns:
        A functional `keras.Model`. By default the input is (B, 299, 299, 3), the output (B, 1000).

    Example:

    >>> from keras_attn.applications import ResidualAttentionInception56
    >>> model = ResidualAttentionInception56(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant = Variant("residual_attention_inception56", (1, 1, 1), "inception")
    return _residual_attention(
        variant, OF_299, mask_activation, masks, learning, geometry, **common
    )


def _residual_attention(
    variant: Variant,
    images: Images,
    mask_activation: MaskActivation,
    masks: bool,
    learning: Learning,
    geometry: Geometry,
    **common: Unpack[Common],
) -> keras.Model:
    check_one_of("geometry", geometry, ("caffe", "pytorchcv"))
    options = {
        "mask_pooling": "ceil" if geometry == "caffe" else "padded",
        "add_targets": geometry == "pytorchcv",
    }
    modules = Modules(mask_activation, masks, learning, variant.unit, options=options)
    body = partial(_body, variant, modules, geometry)
    return construct(body, images, variant.name, **common)


def _body(variant: Variant, modules: Modules, geometry: str, x: Tensor) -> Tensor:
    """From the image (B, H, W, C) to the last map (B, H / 32, W / 32, 2048)."""
    unit = UNITS[variant.unit]
    x = norm_relu(convolution(x, 64, 7, strides=2, name="stem_conv"), "stem")
    if geometry == "caffe":
        x = CeilMaxPooling2D(3, 2, name="stem_pool")(x)
    else:
        x = padded_max_pool(x, "stem_pool")
    stages = zip(FILTERS, MASK_DEPTHS, variant.modules, strict=True)
    for stage, (filters, mask_depth, count) in enumerate(stages, start=1):
        strides = 1 if stage == 1 else 2
        x = unit(filters, strides=strides, name=f"stage{stage}_unit1")(x)
        for i in range(count):
            x = modules(x, filters, mask_depth, f"stage{stage}_attention{i + 1}")
        x = level(x, stage + 1)
    for i in range(FINAL_UNITS):
        strides = 2 if i == 0 else 1
        x = unit(FINAL_FILTERS, strides=strides, name=f"stage4_unit{i + 1}")(x)
    return level(norm_relu(x, "final") if variant.unit == "pre_activation" else x, 5)
