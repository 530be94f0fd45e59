"""Residual networks for 32x32 images, plain or with attention (He et al., CVPR 2016)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_attn.applications.cifar import decode_predictions as decode_predictions
from keras_attn.applications.cifar import preprocess_input as preprocess_input
from keras_attn.applications.common.block_attention import AttentionInBlocks
from keras_attn.applications.common.blocks import convolution, norm, norm_relu
from keras_attn.applications.common.construction import Arguments, construct, level
from keras_attn.applications.common.preprocessing import CIFAR
from keras_attn.applications.common.pretrained import takes_weights
from keras_attn.applications.common.residual_network import Block, BlockAttention
from keras_attn.insertion import attention_name, check_attention
from keras_attn.layers import AugmentedConv2D, ZeroPaddingShortcut2D

FILTERS = (16, 32, 64)
SIDES = {1: 32, 2: 16, 3: 8}  # of the stages' maps

# The nets are narrow: with the paper's 8 heads and 20 key dimensions, keys alone would have ten
# times the channels of the first stage.
KAPPA = UPSILON = 0.25
NUM_HEADS = 4
MIN_KEY_DIM = 4


class _AugmentedBlocks(BlockAttention):
    """An `AugmentedConv2D` for the first convolution of the blocks of some stages."""

    def __init__(self, stages: Sequence[int]) -> None:
        self.stages = tuple(stages)

    def _convolution(
        self, x: Any, filters: int, *, strides: int, groups: int, block: Block, name: str
    ) -> Any:
        if block.stage not in self.stages:
            return super()._convolution(
                x, filters, strides=strides, groups=groups, block=block, name=name
            )
        return AugmentedConv2D.from_ratios(
            filters,
            3,
            strides=strides,
            table_size=SIDES[block.stage] if None in x.shape[1:] else None,
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
            kappa=KAPPA,
            upsilon=UPSILON,
            num_heads=NUM_HEADS,
            min_key_dim=MIN_KEY_DIM,
        )(x)


@takes_weights
def CIFARResNet(
    depth: int = 20,
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
    attention: Any = None,
    attention_stages: Sequence[int] | None = None,
    ratio: int = 16,
    name: str | None = None,
) -> keras.Model:
    """Residual network for CIFAR: three stages of basic blocks at 32, 16 and 8 pixels.

    [He et al., "Deep Residual Learning for Image Recognition", CVPR 2016](
    https://arxiv.org/abs/1512.03385), section 4.2: 16, 32 and 64 filters, shortcuts without
    parameters (option A). With `attention="se"` each block's branch ends in a `SqueezeExcite`;
    with `"aa"` each block's first convolution is an `AugmentedConv2D` with 4 heads,
    kappa = upsilon = 0.25 and at least 4 dimensions per key, as these nets are narrow.

    Args:
        depth: 6 n + 2 for n blocks in each stage: 20, 32, 44, 56, 110, ...
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
        attention: `None`; the name of a kind, such as `"se"`, `"aa"`, `"cbam"` or `"eca"`; a layer
            of `keras_attn.layers`, of which each block has a copy with weights of its own; or a
            function of stage and block, both from 1 on, that gives a name, a layer or `None`.
            `keras_attn.insertion.KINDS` has all names, and where each kind stands.
        attention_stages: The stages (1 to 3) that have attention. By default those of its paper;
            2 and 3 with `"aa"`: the maps of 1024 places in stage 1 would take most of the time.
        ratio: Reduction of the `SqueezeExcite`s of `"se"`.
        name: Name of the model.

    Returns:
        A functional `keras.Model`. By default the input is (B, 32, 32, 3), the output (B, 10).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.CIFARResNet(20, attention="se")
    >>> model.output_shape
    (None, 10)
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 8 or (depth - 2) % 6:
        raise ValueError(f"`depth` must be 6 n + 2 with n at least 1. Received: depth={depth!r}")
    check_attention(attention, none=True)
    if attention_stages is not None and not set(attention_stages) <= {1, 2, 3}:
        raise ValueError(
            "`attention_stages` must hold stages from 1 to 3. "
            f"Received: attention_stages={attention_stages!r}"
        )
    in_blocks = BlockAttention()
    if isinstance(attention, str) and attention == "aa":
        in_blocks = _AugmentedBlocks((2, 3) if attention_stages is None else attention_stages)
    elif attention is not None:
        arguments = {"ratio": ratio} if isinstance(attention, str) and attention == "se" else {}
        in_blocks = AttentionInBlocks(attention, SIDES, attention_stages, arguments)
    blocks = (depth - 2) // 6

    def residual(x: Any, block: Block, strides: int) -> Any:
        filters, prefix = FILTERS[block.stage - 1], block.prefix
        shortcut = in_blocks.gate(x, "identity", block)
        x = in_blocks.gate(x, "pre", block)
        x = in_blocks.convolution(x, filters, strides=strides, groups=1, block=block, index=1)
        x = norm(convolution(x, filters, name=f"{prefix}_conv2"), f"{prefix}_bn2")
        x = in_blocks.gate(x, "standard", block)
        if strides > 1:
            shortcut = ZeroPaddingShortcut2D(filters, strides=strides, name=f"{prefix}_shortcut")(
                shortcut
            )
        x = layers.Add(name=f"{prefix}_add")([x, shortcut])
        x = layers.Activation("relu", name=f"{prefix}_relu2")(x)
        return in_blocks.gate(x, "post", block)

    def features(x: Any) -> Any:
        x = norm_relu(convolution(x, FILTERS[0], name="stem_conv"), "stem")
        for stage in SIDES:
            for i in range(blocks):
                strides = 2 if stage > 1 and i == 0 else 1
                x = residual(x, Block(stage, i + 1, blocks), strides)
            x = level(x, stage - 1)
        return x

    default_name = f"resnet{depth}_cifar"
    if attention is not None:
        default_name = f"{attention_name(attention)}_{default_name}"
    user = Arguments(
        include_top=include_top,
        include_preprocessing=include_preprocessing,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        pyramid_outputs=pyramid_outputs,
        name=name or default_name,
    )
    return construct(user, features, default_size=32, min_size=8, normalisation=CIFAR)
