"""Residual networks with attention augmented convolutions (Bello et al., ICCV 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

import keras

from keras_attn.applications.common.construction import OF_IMAGENET
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.common.residual_network import (
    RESNETS,
    GeometryName,
    places_of,
    residual_network,
)
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.kinds import Attention, Positions, one_kind


@network(OF_IMAGENET)
def AAResNet34(
    *,
    attention: Literal["aa"] | None = "aa",
    stages: Sequence[int] = (2, 3, 4),
    kappa: float = 0.25,
    upsilon: float = 0.25,
    num_heads: int = 8,
    min_key_dim: int = 20,
    positions: Positions = "relative",
    downsample: bool = True,
    geometry: GeometryName = "torchvision",
    **common: Unpack[Common],
) -> keras.Model:
    """Attention augmented ResNet-34: an `AugmentedConv2D` in each block of three stages.

    [Bello et al., "Attention Augmented Convolutional Networks", ICCV 2019](
    https://arxiv.org/abs/1904.09925): the first 3x3 convolution of the blocks of the last
    three stages is augmented, without biases, and with at least 20 dimensions per key. These
    choices give the parameters that the paper prints. In the first of these stages attention runs
    on a map pooled to half its sides.

    The paper does not say how an augmented convolution strides; see `AugmentedConv2D` for the
    rule here, which pads the strided convolution as Keras's `same` does. Nor does it say where
    sinusoids and coordinates come in; here it is before the whole augmented convolution.

    Args:
        attention: `"aa"`, or `None` for the same network without it.
        stages: The stages (1 to 4, from the finest map on) with attention.
        kappa: Depth of the keys, in (0, 1] of the convolution's filters.
        upsilon: Depth of the values, in [0, 1] of the convolution's filters; 1 leaves no
            convolution there, only attention.
        num_heads: Number of heads.
        min_key_dim: Least depth of a key per head.
        positions: How attention knows where a pixel is, as in the paper's ablation: tables of
            `"relative"` positions, `"sinusoidal"` ones added to the input, `"coordinates"`
            appended to it, or `"none"`.
        downsample: Whether attention in the first of `stages` runs on half the map's sides.
        geometry: `"torchvision"` has the stride in a bottleneck's 3x3 convolution, and a max pool
            padded by 1. `"caffe"` has it in the first 1x1, and a max pool in ceil mode. All are in
            `keras_attn.applications.common.residual_network.GEOMETRIES`.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.AAResNet34(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 512)
    """
    variant, options = (
        RESNETS[34],
        {
            "kappa": kappa,
            "upsilon": upsilon,
            "num_heads": num_heads,
            "min_key_dim": min_key_dim,
            "positions": positions,
            "downsample": downsample,
        },
    )
    asked = Attention(one_kind("aa", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET, like=AAResNet34)
def AAResNet50(
    *,
    attention: Literal["aa"] | None = "aa",
    stages: Sequence[int] = (2, 3, 4),
    kappa: float = 0.2,
    upsilon: float = 0.1,
    num_heads: int = 8,
    min_key_dim: int = 20,
    positions: Positions = "relative",
    downsample: bool = True,
    geometry: GeometryName = "torchvision",
    **common: Unpack[Common],
) -> keras.Model:
    """Attention augmented ResNet-50: an `AugmentedConv2D` in each block of three stages.

    [Bello et al., "Attention Augmented Convolutional Networks", ICCV 2019](
    https://arxiv.org/abs/1904.09925): the 3x3 convolution of the blocks of the last three stages is
    augmented, without biases, and with at least 20 dimensions per key. These choices give the
    parameters that the paper prints. In the first of these stages attention runs on a map pooled
    to half its sides.

    Example:

    >>> model = keras_attn.applications.AAResNet50(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant, options = (
        RESNETS[50],
        {
            "kappa": kappa,
            "upsilon": upsilon,
            "num_heads": num_heads,
            "min_key_dim": min_key_dim,
            "positions": positions,
            "downsample": downsample,
        },
    )
    asked = Attention(one_kind("aa", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET, like=AAResNet34)
def AAResNet101(
    *,
    attention: Literal["aa"] | None = "aa",
    stages: Sequence[int] = (2, 3, 4),
    kappa: float = 0.2,
    upsilon: float = 0.1,
    num_heads: int = 8,
    min_key_dim: int = 20,
    positions: Positions = "relative",
    downsample: bool = True,
    geometry: GeometryName = "torchvision",
    **common: Unpack[Common],
) -> keras.Model:
    """Attention augmented ResNet-101: an `AugmentedConv2D` in each block of three stages.

    [Bello et al., "Attention Augmented Convolutional Networks", ICCV 2019](
    https://arxiv.org/abs/1904.09925): the 3x3 convolution of the blocks of the last three stages is
    augmented, without biases, and with at least 20 dimensions per key. These choices give the
    parameters that the paper prints. In the first of these stages attention runs on a map pooled
    to half its sides.

    Example:

    >>> model = keras_attn.applications.AAResNet101(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant, options = (
        RESNETS[101],
        {
            "kappa": kappa,
            "upsilon": upsilon,
            "num_heads": num_heads,
            "min_key_dim": min_key_dim,
            "positions": positions,
            "downsample": downsample,
        },
    )
    asked = Attention(one_kind("aa", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, **common)


@network(OF_IMAGENET, like=AAResNet34)
def AAResNet152(
    *,
    attention: Literal["aa"] | None = "aa",
    stages: Sequence[int] = (2, 3, 4),
    kappa: float = 0.2,
    upsilon: float = 0.1,
    num_heads: int = 8,
    min_key_dim: int = 20,
    positions: Positions = "relative",
    downsample: bool = True,
    geometry: GeometryName = "torchvision",
    **common: Unpack[Common],
) -> keras.Model:
    """Attention augmented ResNet-152: an `AugmentedConv2D` in each block of three stages.

    [Bello et al., "Attention Augmented Convolutional Networks", ICCV 2019](
    https://arxiv.org/abs/1904.09925): the 3x3 convolution of the blocks of the last three stages is
    augmented, without biases, and with at least 20 dimensions per key. These choices give the
    parameters that the paper prints. In the first of these stages attention runs on a map pooled
    to half its sides.

    Example:

    >>> model = keras_attn.applications.AAResNet152(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 2048)
    """
    variant, options = (
        RESNETS[152],
        {
            "kappa": kappa,
            "upsilon": upsilon,
            "num_heads": num_heads,
            "min_key_dim": min_key_dim,
            "positions": positions,
            "downsample": downsample,
        },
    )
    asked = Attention(one_kind("aa", attention), stages, None, options, places_of(variant))
    return residual_network(variant, asked, geometry, **common)
