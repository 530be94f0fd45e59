"""The kinds of attention by name: their layers, where they stand in a residual network, and why."""

from __future__ import annotations

from math import gcd
from typing import Any

from keras_attn.kinds.kind import Kind, Size
from keras_attn.layers import (
    BAM,
    CBAM,
    AttentionModule,
    AugmentedConv2D,
    AxialAttention,
    BilinearAttention,
    BottleneckSelfAttention2D,
    ChannelAttention,
    ChannelGate,
    ContextualTransformer,
    CoordinateAttention,
    CrissCrossAttention,
    DoubleAttention,
    EffectiveSE,
    EfficientChannelAttention,
    EfficientLocalAttention,
    EfficientMultiScaleAttention,
    GatedChannelTransformation,
    GatherExcite,
    GlobalContext,
    GlobalResponseNormalization,
    HaloAttention2D,
    LambdaLayer,
    LargeSeparableKernelAttention,
    LightCBAM,
    NonLocal2D,
    OutlookAttention,
    PolarizedSelfAttention,
    PositionAttention,
    PyramidSqueezeAttention,
    SelectiveKernel,
    SelfAttention2D,
    ShuffleAttention,
    SimAM,
    SimpleCoordinateAttention,
    SpatialChannelSqueezeExcite,
    SpatialGate,
    SpatialGroupEnhance,
    SplitAttention,
    SqueezeExcite,
    StripAttention,
    StyleRecalibration,
    TripletAttention,
    depths_from_ratios,
)


def _heads(channels: int) -> int:
    """The most heads, up to 8, that divide the channels."""
    return next(n for n in (8, 4, 2, 1) if channels % n == 0)


def _bottleneck_arguments(channels: int, size: Size) -> dict[str, Any]:
    heads = min(4, _heads(channels))  # the paper's 4, depths as the block's
    return {"num_heads": heads, "key_depth": channels, "value_depth": channels}


def _self_attention_arguments(channels: int, size: Size) -> dict[str, Any]:
    heads = _heads(channels)
    return {"num_heads": heads, "key_depth": channels, "value_depth": channels}


def _augmented_arguments(
    channels: int,
    size: Size,
    *,
    kappa: float | None = None,
    upsilon: float | None = None,
    num_heads: int | None = None,
    min_key_dim: int | None = None,
    min_value_dim: int = 0,
) -> dict[str, Any]:
    """The paper's ratios; few channels have wider ones, as with those some heads had no values."""
    narrow = 0.1 * channels < 8
    ratio = 1.0 if channels < 4 else 0.25
    kappa = (ratio if narrow else 0.2) if kappa is None else kappa
    upsilon = (ratio if narrow else 0.1) if upsilon is None else upsilon
    if num_heads is None:
        num_heads = max(1, min(4, channels // 4)) if narrow else 8
    if min_key_dim is None:
        min_key_dim = 4 if narrow else 20
    if 0 < upsilon * channels < min_value_dim * num_heads:
        upsilon = min_value_dim * num_heads / channels
    keys, values = depths_from_ratios(channels, kappa, upsilon, num_heads, min_key_dim)
    return {
        "filters": channels,
        "kernel_size": 3,
        "num_heads": num_heads,
        "key_depth": keys,
        "value_depth": values,
        "use_bias": False,
        "kernel_initializer": "he_normal",
    }


def _axial_arguments(channels: int, size: Size) -> dict[str, Any]:
    heads = next(n for n in (8, 4, 2, 1) if channels % (2 * n) == 0)  # the authors' 8
    return {"value_depth": channels, "num_heads": heads}


def _bilinear_arguments(channels: int, size: Size) -> dict[str, Any]:
    """Seven blocks down and across, as the authors, or as many as divide the map."""
    common = gcd(*(side for side in size if side is not None)) or 7
    return {"block_number": next(n for n in range(7, 0, -1) if common % n == 0)}


def _lambda_arguments(channels: int, size: Size) -> dict[str, Any]:
    return {"value_depth": channels, "num_heads": min(4, _heads(channels))}  # the paper's 4


def _pyramid_arguments(channels: int, size: Size) -> dict[str, Any]:
    of_branch = channels // 4
    groups = tuple(gcd(of_branch, number) for number in (1, 4, 8, 16))  # the authors'
    return {"branch_groups": groups, "ratio": min(16, of_branch)}


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
_DANET = "Fu et al., CVPR 2019: behind the last stage"
_SIMAM = (
    "Yang et al., ICML 2021, have it between the 3x3 convolution and its BatchNormalization; "
    "the place is SE's"
)
_SHUFFLE = "Zhang and Yang, ICASSP 2021, and the authors' code"
_SGE = "Li et al., 2019, and the authors' code"
_NON_LOCAL = "Wang et al., CVPR 2018: one block, before the last block of res4"

_SAGAN = (
    'Zhang et al., "Self-Attention Generative Adversarial Networks", ICML 2019',
    "https://arxiv.org/abs/1805.08318",
)


def _timms(after: str, number: str) -> tuple[str, str]:
    """What is in no paper, and the one that it is a form of."""
    return f"timm's own, after {after}", f"https://arxiv.org/abs/{number}"


KINDS: dict[str, Kind] = {
    "se": Kind(SqueezeExcite, "standard", _SE),
    "channel_gate": Kind(ChannelGate, "standard", _CBAM),
    "spatial_gate": Kind(SpatialGate, "standard", _CBAM),
    "cbam": Kind(CBAM, "standard", _CBAM),
    "bam": Kind(
        BAM,
        "post",
        "Park et al., BMVC 2018, and the authors' code: behind each stage but the last",
        blocks="last",
        stages=(None, -1),
    ),
    "ge": Kind(GatherExcite, "standard", _GE),
    "ge_theta": Kind(GatherExcite, "standard", _GE, lambda c, s: {"mode": "theta"}),
    "ge_theta_plus": Kind(GatherExcite, "standard", _GE, lambda c, s: {"mode": "theta_plus"}),
    "eca": Kind(EfficientChannelAttention, "standard", "Wang et al., CVPR 2020: as SE"),
    "gc": Kind(GlobalContext, "standard", _GC),
    "gc_scale": Kind(GlobalContext, "standard", _GC, lambda c, s: {"fusion": "scale"}),
    "cse": Kind(SpatialChannelSqueezeExcite, "standard", _OURS, lambda c, s: {"mode": "channel"}),
    "sse": Kind(SpatialChannelSqueezeExcite, "standard", _OURS, lambda c, s: {"mode": "spatial"}),
    "scse": Kind(SpatialChannelSqueezeExcite, "standard", _OURS),
    "coordinate": Kind(CoordinateAttention, "standard", _OURS),
    "simple_coordinate": Kind(
        SimpleCoordinateAttention,
        "standard",
        _OURS,
        paper=_timms("Hou et al., CVPR 2021", "2103.02907"),
    ),
    "efficient_local": Kind(EfficientLocalAttention, "standard", _OURS),
    "strip": Kind(
        StripAttention, "standard", _OURS, paper=_timms("Hou et al., CVPR 2021", "2103.02907")
    ),
    "ese": Kind(EffectiveSE, "standard", _OURS),
    "ceca": Kind(
        EfficientChannelAttention,
        "standard",
        "timm: as ECA",
        lambda c, s: {"padding": "circular"},
        paper=_timms("Wang et al., CVPR 2020", "1910.03151"),
    ),
    "light_cbam": Kind(
        LightCBAM,
        "standard",
        "timm: as CBAM",
        paper=_timms("Woo et al., ECCV 2018", "1807.06521"),
    ),
    "srm": Kind(StyleRecalibration, "standard", "Lee et al., ICCV 2019, and the authors' code"),
    "gct": Kind(
        GatedChannelTransformation,
        "pre",
        "Yang et al., CVPR 2020, have one before every convolution; here before each branch",
    ),
    "grn": Kind(GlobalResponseNormalization, "standard", _OURS),
    "simam": Kind(SimAM, "standard", _SIMAM),
    "triplet": Kind(TripletAttention, "standard", "Misra et al., WACV 2021, and the authors' code"),
    "shuffle": Kind(
        ShuffleAttention, "standard", _SHUFFLE, lambda c, s: {"groups": gcd(64, c // 2)}
    ),
    "sge": Kind(SpatialGroupEnhance, "standard", _SGE, lambda c, s: {"groups": gcd(64, c)}),
    "polarized": Kind(PolarizedSelfAttention, "standard", _OURS),
    "polarized_sequential": Kind(
        PolarizedSelfAttention, "standard", _OURS, lambda c, s: {"mode": "sequential"}
    ),
    "ema": Kind(
        EfficientMultiScaleAttention, "standard", _OURS, lambda c, s: {"groups": gcd(32, c)}
    ),
    "lska": Kind(LargeSeparableKernelAttention, "standard", _OURS),
    "position_attention": Kind(PositionAttention, "post", _DANET, blocks="last", stages=(-1, None)),
    "channel_attention": Kind(ChannelAttention, "post", _DANET, blocks="last", stages=(-1, None)),
    "criss_cross": Kind(
        CrissCrossAttention,
        "post",
        "Huang et al., ICCV 2019: behind the last stage",
        blocks="last",
        stages=(-1, None),
    ),
    "double": Kind(
        DoubleAttention,
        "post",
        "Chen et al., NeurIPS 2018, at the place of the non-local block",
        blocks="last_but_one",
        stages=(-2, -1),
    ),
    "split": Kind(SplitAttention, "convolution", "Zhang et al., 2020: ResNeSt", has_norm=True),
    "pyramid_squeeze": Kind(
        PyramidSqueezeAttention, "convolution", "Zhang et al., 2021: EPSANet", _pyramid_arguments
    ),
    "lambda": Kind(
        LambdaLayer,
        "convolution",
        "Bello, ICLR 2021; the stages are those of timm's lambda_resnet26t",
        _lambda_arguments,
        stages=(-2, None),
    ),
    "non_local": Kind(NonLocal2D, "post", _NON_LOCAL, blocks="last_but_one", stages=(-2, -1)),
    "sagan": Kind(
        NonLocal2D,
        "post",
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
        paper=_SAGAN,
    ),
    "sk": Kind(
        SelectiveKernel,
        "convolution",
        "Li et al., CVPR 2019",
        _selective_arguments,
        has_norm=True,
    ),
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
        options=("kappa", "upsilon", "num_heads", "min_key_dim", "min_value_dim"),
        has_convolution=True,
    ),
    "axial": Kind(AxialAttention, "convolution", "Wang et al., ECCV 2020", _axial_arguments),
    "outlook": Kind(
        OutlookAttention,
        "convolution",
        "no source for residual networks; instead of the 3x3 convolution, the stages are ours",
        lambda c, s: {"value_depth": c, "num_heads": _heads(c)},
        stages=(-2, None),
    ),
    "cot": Kind(
        ContextualTransformer,
        "convolution",
        "Li et al., 2021: CoTNet, and the authors' code",
        has_norm=True,
    ),
    "bat": Kind(
        BilinearAttention,
        "post",
        "Chi et al., CVPR 2020, at the place of the non-local block",
        _bilinear_arguments,
        blocks="last_but_one",
        stages=(-2, -1),
    ),
    "attention_module": Kind(
        AttentionModule,
        "post",
        "Wang et al., CVPR 2017: behind the first block of each stage but the last",
        _module_arguments,
        blocks="first",
        stages=(None, -1),
    ),
}
