"""timm's residual networks with attention: one description for all, `variants.VARIANTS`."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any, Unpack

import keras
from keras import layers

from keras_attn._checks import check_one_of
from keras_attn.applications.common.blocks import channel_axis, convolution, norm
from keras_attn.applications.common.construction import Images, construct, level
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.common.preprocessing import IMAGENET
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.applications.timm.variants import VARIANTS, Part, Stage, Variant
from keras_attn.kinds import Block, make_attention
from keras_attn.typing import Tensor

# What most of these networks were trained for, and their tables of positions are made for.
OF_TIMM = Images(256, 1000, 32, IMAGENET)
LAYERS_OF_BLOCK = 13  # one behind the other, at most


@network(OF_TIMM)
def TimmResNet(variant: str, **common: Unpack[Common]) -> keras.Model:
    """A residual network with attention for which timm has weights, by timm's name.

    ECA-ResNet, SE-ResNeXt, ResNet-RS, ResNeSt, HaloNet, LambdaNetworks and BoTNet, their
    hybrids, and small networks with one gate each; layer by layer as in
    [timm](https://github.com/huggingface/pytorch-image-models), whose logits they give with its
    weights. All stand in one table, `keras_attn.applications.timm.variants.VARIANTS`. Tables of
    positions that hold for a whole map are made for images of 256; on others their offsets are
    exact as far as they go. Keras walks a network by recursion, and `"ecaresnet269d"` is deeper
    than Python's limit: it is raised here, and before a file of it is loaded it must be, too.

    Args:
        variant: Name of the network: `"ecaresnet26t"`, `"resnest50d"`, `"halonet50ts"`,
            `"lambda_resnet26t"`, `"sebotnet33ts_256"` or another key of `VARIANTS`.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 256, 256, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.TimmResNet("resnest14d", include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    check_one_of("variant", variant, VARIANTS)
    blocks = sum(stage.blocks for stage in VARIANTS[variant].stages)
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 600 + LAYERS_OF_BLOCK * blocks))
    return construct(partial(_body, VARIANTS[variant]), OF_TIMM, variant, **common)


def _body(variant: Variant, x: Tensor) -> Tensor:
    """From the image (B, H, W, C) to the last map (B, H / 32, W / 32, filters)."""
    x = _stem(variant, x)
    for number, stage in enumerate(variant.stages, start=1):
        for i in range(1, stage.blocks + 1):
            block = Block(number, i, stage.blocks, OF_TIMM.size >> (number + 1))
            strides = 2 if i == 1 and (number > 1 or _stem_strides(variant) == 2) else 1
            x = _block(x, block, strides, variant, stage)
        if number == len(variant.stages) and variant.last_filters:
            x = convolution(x, variant.last_filters, 1, name="last_conv")
            x = _norm_act(x, variant, "last")
        x = level(x, number + 1)
    return x


def _stem_strides(variant: Variant) -> int:
    """4, or 2 where the stem is one convolution and no pool."""
    return 2 if len(variant.stem) == 1 and variant.pool is None else 4


def _stem(variant: Variant, x: Tensor) -> Tensor:
    """From the image to a map of a quarter, or a half, of its sides."""
    if not variant.stem:
        x = _norm_act(convolution(x, 64, 7, strides=2, name="stem_conv"), variant, "stem")
    for i, filters in enumerate(variant.stem, start=1):
        strides = 2 if i == 1 or (i == len(variant.stem) and variant.pool is None) else 1
        x = convolution(x, filters, strides=strides, name=f"stem_conv{i}")
        x = _norm_act(x, variant, "stem", str(i))
    if variant.pool == "average":
        return layers.AveragePooling2D(2, name="stem_pool")(x)
    if variant.pool == "max":
        # Padded by 1 on every side with what is no maximum: SiLU's values may be less than 0.
        x = layers.MaxPooling2D(3, 1, "same", name="stem_windows")(x)
        x = layers.MaxPooling2D(1, 2, name="stem_pool")(x)
    return x


def _block(x: Tensor, block: Block, strides: int, variant: Variant, stage: Stage) -> Tensor:
    """activation(branch(x) + shortcut(x)); an inverted block is branch(x), or branch(x) + x."""
    prefix, shortcut = block.prefix, x
    if block.number == 1 and stage.first is not None:
        stage = stage._replace(width=stage.first[0], groups=stage.first[1])
    changes = strides > 1 or x.shape[channel_axis()] != stage.filters
    if changes and not variant.inverted:
        shortcut = _projection(x, prefix, strides, variant, stage.filters)
    if variant.bottleneck:
        x = convolution(x, stage.width, 1, name=f"{prefix}_conv1")
        x = _norm_act(x, variant, prefix, "1")
        x = _spatial(x, block, strides, variant, stage, "2")
    else:
        x = _spatial(x, block, strides, variant, stage, "1")
    last = "3" if variant.bottleneck else "2"
    size = 1 if variant.bottleneck else 3
    x = norm(convolution(x, stage.filters, size, name=f"{prefix}_conv{last}"), f"{prefix}_bn{last}")
    if variant.placement == "standard":
        x = _gate(x, block, variant)
    if variant.inverted:
        return x if changes else layers.Add(name=f"{prefix}_add")([x, shortcut])
    x = layers.Add(name=f"{prefix}_add")([x, shortcut])
    return layers.Activation(variant.activation, name=f"{prefix}_{variant.activation}{last}")(x)


def _spatial(
    x: Tensor, block: Block, strides: int, variant: Variant, stage: Stage, suffix: str
) -> Tensor:
    """A block's 3x3 convolution, or what stands instead of it, and the gate behind it."""
    prefix, pooled = block.prefix, strides > 1 and variant.pooling is not None
    if stage.attention is not None and block.number in stage.attended:
        return _self_attention(x, block, strides, variant, stage.attention)
    own_strides = 1 if pooled else strides
    if pooled and variant.pooling == "before":
        x = _padded_average(x, strides, f"{prefix}_pool")
    if variant.convolution is not None:
        x = _made(x, block, variant.convolution, strides=own_strides, filters=stage.width)
    else:
        name = f"{prefix}_conv{suffix}"
        x = convolution(x, stage.width, strides=own_strides, groups=stage.groups, name=name)
        x = _norm_act(x, variant, prefix, suffix)
    if pooled and variant.pooling == "after":
        x = _padded_average(x, strides, f"{prefix}_pool")
    if pooled and variant.pooling == "blur":
        x = layers.AveragePooling2D(2, strides, name=f"{prefix}_pool")(x)
    return _gate(x, block, variant) if variant.placement == "3x3" else x


def _self_attention(
    x: Tensor, block: Block, strides: int, variant: Variant, attention: Part
) -> Tensor:
    """Self-attention, BatchNormalization and activation.

    Halo attention strides by its queries, where their number in a block allows it.
    """
    (kind, options), prefix = attention, block.prefix
    if variant.key_share > 1:
        keys = x.shape[channel_axis()] // variant.key_share
        attention = (kind, {**options, "key_depth": keys})
    if kind == "halo" and options["block_size"] % strides == 0:
        x = _made(x, block, attention, query_strides=strides)
    else:
        # The map before the pool, for images of the default size.
        side = block.side * strides
        whole = kind == "bot" or options.get("scope", 0) is None
        x = _made(x, block, attention, **({"table_size": side} if whole else {}))
        if strides > 1:
            pool = layers.AveragePooling2D(2, strides, "same", name=f"{prefix}_{kind}_pool")
            x = pool(x)
    x = norm(x, f"{prefix}_attention_bn")
    return layers.Activation(variant.activation, name=f"{prefix}_attention_{variant.activation}")(x)


def _gate(x: Tensor, block: Block, variant: Variant) -> Tensor:
    return x if variant.gate is None else _made(x, block, variant.gate)


def _made(x: Tensor, block: Block, part: Part, **more: Any) -> Tensor:
    """The output of a layer of attention."""
    kind, options = part
    named = (kind, {**options, **more})
    size = (block.side, block.side)
    layer = make_attention(named, x.shape[channel_axis()], size, name=f"{block.prefix}_{kind}")
    return layer(x)


def _projection(x: Tensor, prefix: str, strides: int, variant: Variant, filters: int) -> Tensor:
    """The shortcut of a block that changes the map's shape."""
    if variant.average_projections and strides > 1:
        pool = layers.AveragePooling2D(2, strides, "same", name=f"{prefix}_projection_pool")
        x, strides = pool(x), 1
    x = convolution(x, filters, 1, strides=strides, name=f"{prefix}_projection")
    return norm(x, f"{prefix}_projection_bn")


def _padded_average(x: Tensor, strides: int, name: str) -> Tensor:
    """A 3x3 average in which the zeros of the padding count."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.AveragePooling2D(3, strides, name=name)(x)


def _norm_act(x: Tensor, variant: Variant, prefix: str, suffix: str = "") -> Tensor:
    """BatchNormalization, then the network's activation."""
    x = norm(x, f"{prefix}_bn{suffix}")
    return layers.Activation(variant.activation, name=f"{prefix}_{variant.activation}{suffix}")(x)
