"""The kinds of attention by name: their layers, where they stand in a residual network, and why."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from keras_attn.layers import (
    BAM,
    CBAM,
    AddCoordinates,
    AttentionModule,
    AugmentedConv2D,
    BottleneckSelfAttention2D,
    ChannelGate,
    CoordConv2D,
    CoordinateAttention,
    EfficientChannelAttention,
    GatherExcite,
    GlobalContext,
    HaloAttention2D,
    NonLocal2D,
    SelectiveKernel,
    SelfAttention2D,
    SinusoidalPositionEncoding2D,
    SpatialChannelSqueezeExcite,
    SpatialGate,
    SqueezeExcite,
    depths_from_ratios,
)

POSITIONS = (AddCoordinates, CoordConv2D, SinusoidalPositionEncoding2D)

Size = tuple[int | None, int | None]


@dataclass(frozen=True)
class Kind:
    """A kind of attention that has a name.

    Attributes:
        layer: Its layer.
        place: Where it stands in a residual network: `"branch"`, at the end of a block's branch,
            before the sum; `"convolution"`, instead of a block's 3x3 convolution; `"block"`,
            behind a block.
        source: Whence the place.
        arguments: The layer's arguments for C channels and a map of H x W, which may be unknown.
        blocks: Which of a stage's blocks have it by default: `"all"`, `"first"`, `"last"` or
            `"last_but_one"`.
        stages: Which of a network's stages have it by default, as the ends of a slice of them.
    """

    layer: type[keras.layers.Layer]
    place: str
    source: str
    arguments: Callable[[int, Size], Mapping[str, Any]] = lambda channels, size: {}
    blocks: str = "all"
    stages: tuple[int | None, int | None] = (None, None)


def _heads(channels: int) -> int:
    """The most heads, up to 8, that divide the channels."""
    return next(n for n in (8, 4, 2, 1) if channels % n == 0)


def _bottleneck_arguments(channels: int, size: Size) -> dict[str, Any]:
    heads = min(4, _heads(channels))  # the paper's 4, depths as the block's
    return {"num_heads": heads, "key_depth": channels, "value_depth": channels}


def _self_attention_arguments(channels: int, size: Size) -> dict[str, Any]:
    heads = _heads(channels)
    return {"num_heads": heads, "key_depth": channels, "value_depth": channels}


def _augmented_arguments(channels: int, size: Size) -> dict[str, Any]:
    # Few channels leave no value for each of 8 heads: a quarter of them then, as in CIFARResNet.
    heads, kappa, upsilon, least = 8, 0.2, 0.1, 20
    if upsilon * channels < heads:
        kappa = upsilon = 0.25
        heads, least = max(1, min(4, channels // 4)), 4
    if channels < 4:
        kappa = upsilon = 1.0
    keys, values = depths_from_ratios(channels, kappa, upsilon, heads, least)
    return {
        "filters": channels,
        "kernel_size": 3,
        "num_heads": heads,
        "key_depth": keys,
        "value_depth": values,
        "use_bias": False,
        "kernel_initializer": "he_normal",
    }


def _selective_arguments(channels: int, size: Size) -> dict[str, Any]:
    return {"groups": 32 if channels % 32 == 0 else 1}  # the paper's 32


def _module_arguments(channels: int, size: Size) -> dict[str, Any]:
    side = min((side for side in size if side is not None), default=28)
    return {"mask_depth": 3 if side >= 56 else 2 if side >= 28 else 1}  # the prototxts'


_OURS = "no source for residual networks; the place is SE's"
_SE = "Hu et al., CVPR 2018, and the authors' prototxts"
_CBAM = "Woo et al., ECCV 2018, and the authors' code"
_GE = "Hu et al., NeurIPS 2018, and the authors' prototxts"
_GC = "Cao et al., ICCV workshops 2019; at the end of the branch as in the authors' code"
_NON_LOCAL = "Wang et al., CVPR 2018: one block, before the last block of res4"

KINDS: dict[str, Kind] = {
    "se": Kind(SqueezeExcite, "branch", _SE),
    "channel_gate": Kind(ChannelGate, "branch", _CBAM),
    "spatial_gate": Kind(SpatialGate, "branch", _CBAM),
    "cbam": Kind(CBAM, "branch", _CBAM),
    "bam": Kind(
        BAM,
        "block",
        "Park et al., BMVC 2018, and the authors' code: behind each stage but the last",
        blocks="last",
        stages=(None, -1),
    ),
    "ge": Kind(GatherExcite, "branch", _GE),
    "ge_theta": Kind(GatherExcite, "branch", _GE, lambda c, s: {"mode": "theta"}),
    "ge_theta_plus": Kind(GatherExcite, "branch", _GE, lambda c, s: {"mode": "theta_plus"}),
    "eca": Kind(EfficientChannelAttention, "branch", "Wang et al., CVPR 2020: as SE"),
    "gc": Kind(GlobalContext, "branch", _GC),
    "gc_scale": Kind(GlobalContext, "branch", _GC, lambda c, s: {"fusion": "scale"}),
    "cse": Kind(SpatialChannelSqueezeExcite, "branch", _OURS, lambda c, s: {"mode": "channel"}),
    "sse": Kind(SpatialChannelSqueezeExcite, "branch", _OURS, lambda c, s: {"mode": "spatial"}),
    "scse": Kind(SpatialChannelSqueezeExcite, "branch", _OURS),
    "coordinate": Kind(CoordinateAttention, "branch", _OURS),
    "non_local": Kind(NonLocal2D, "block", _NON_LOCAL, blocks="last_but_one", stages=(-2, -1)),
    "sagan": Kind(
        NonLocal2D,
        "block",
        "Zhang et al., ICML 2019, at the place of the non-local block",
        lambda c, s: {
            "ratio": min(8, c),
            "value_ratio": min(2, c),
            "sub_sample": True,
            "scale": "scalar",
            "use_bias": False,
        },
        blocks="last_but_one",
        stages=(-2, -1),
    ),
    "sk": Kind(SelectiveKernel, "convolution", "Li et al., CVPR 2019", _selective_arguments),
    "bot": Kind(
        BottleneckSelfAttention2D,
        "convolution",
        "Srinivas et al., CVPR 2021: in the last stage",
        _bottleneck_arguments,
        stages=(-1, None),
    ),
    "halo": Kind(
        HaloAttention2D,
        "convolution",
        "Vaswani et al., CVPR 2021; the stages are ours",
        _self_attention_arguments,
        stages=(-2, None),
    ),
    "self_attention": Kind(
        SelfAttention2D,
        "convolution",
        "Bello et al., ICCV 2019, without a convolution beside it; the stage is ours",
        _self_attention_arguments,
        stages=(-1, None),
    ),
    "aa": Kind(
        AugmentedConv2D,
        "convolution",
        "Bello et al., ICCV 2019: in the last three stages",
        _augmented_arguments,
        stages=(-3, None),
    ),
    "attention_module": Kind(
        AttentionModule,
        "block",
        "Wang et al., CVPR 2017: behind the first block of each stage but the last",
        _module_arguments,
        blocks="first",
        stages=(None, -1),
    ),
}


def kind_of(layer: keras.layers.Layer) -> Kind | None:
    """The first kind of this layer's class; `None` for a layer that isn't ours."""
    return next((kind for kind in KINDS.values() if isinstance(layer, kind.layer)), None)


def attention_name(attention: Any) -> str:
    """What names of layers and networks say of it: the kind, the class, or just "attention"."""
    if isinstance(attention, str):
        return attention
    if isinstance(attention, keras.layers.Layer):
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(attention).__name__).lower()
    return "attention"


def check_attention(attention: Any, *, none: bool = False) -> None:
    """Raises unless `attention` is the name of a kind, a layer that attends, or a function.

    Args:
        attention: What the user gave.
        none: Whether `None` will do.

    Raises:
        ValueError: If it is neither; the message lists the names.
    """
    if isinstance(attention, POSITIONS):
        raise ValueError(
            "`attention` must attend; a layer that only adds positions would change the map with "
            "nothing to learn how much. Call it in a model of your own. "
            f"Received: attention={attention!r}"
        )
    is_function = callable(attention) and not isinstance(attention, type)  # a layer is one, too
    if is_function or (attention is None and none):
        return
    hint = ""
    if isinstance(attention, str):
        if attention in KINDS:
            return
        near = difflib.get_close_matches(attention, KINDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(map(repr, [*([None] if none else []), *KINDS]))
    raise ValueError(
        f"`attention` must be one of {listed}, a layer, or a function that gives one.{hint} "
        f"Received: attention={attention!r}"
    )


def make_attention(
    attention: str | keras.layers.Layer,
    channels: int,
    size: Size = (None, None),
    *,
    data_format: str | None = None,
    dtype: Any = None,
    name: str | None = None,
    **arguments: Any,
) -> keras.layers.Layer:
    """Makes a layer of attention from the name of its kind, or as a copy of a layer.

    Args:
        attention: A key of `KINDS`, or a layer; of that, its configuration is copied and not its
            weights.
        channels: C of the map that it will take.
        size: (H, W) of that map, where known.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
            A copied layer has its own.
        dtype: dtype or policy of a layer by name.
        name: Name of the layer.
        **arguments: Arguments of a layer by name, before those that its kind has for C.

    Returns:
        The layer, not built.

    Raises:
        ValueError: If there is no such kind, or the layer only adds positions.

    Example:

    >>> layer = make_attention("bot", channels=64, size=(7, 7))
    >>> type(layer).__name__, layer.num_heads, layer.value_depth
    ('BottleneckSelfAttention2D', 4, 64)
    """
    check_attention(attention)
    if isinstance(attention, keras.layers.Layer):
        return copy_layer(attention, name=name)
    kind = KINDS[attention]
    given = {**kind.arguments(channels, size), **arguments}
    return kind.layer(**given, data_format=data_format, dtype=dtype, name=name)


def copy_layer(
    layer: keras.layers.Layer, *, name: str | None = None, **changes: Any
) -> keras.layers.Layer:
    """Makes a layer with the configuration of another, and weights of its own.

    Initializers are made anew, too: without a seed they draw other values, with one the same.

    Args:
        layer: The layer.
        name: Name of the copy; `None` lets Keras choose one.
        **changes: Arguments that the copy has otherwise.

    Returns:
        The copy, not built.
    """
    config = {**layer.get_config(), **changes}
    config.pop("name", None)
    return type(layer).from_config({**config, "name": name} if name else config)
