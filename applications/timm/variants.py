"""timm's residual networks with attention, one a row: what `resnet.py` here builds.

Facts: timm 1.0.31, `resnet.py`, `resnest.py`, `byobnet.py`, `byoanet.py` and `sknet.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

# A key of `keras_attn.kinds.KINDS`, and options of its layer.
Part: TypeAlias = tuple[str, Mapping[str, Any]]


class Stage(NamedTuple):
    """One stage of a network.

    Attributes:
        blocks: Its blocks; all but those of the first stage begin by halving the map.
        filters: Channels of the blocks.
        width: Channels inside a bottleneck.
        groups: Groups of the 3x3 convolutions.
        attention: Self-attention instead of the 3x3 convolution in some blocks.
        attended: The numbers, from 1 on, of these blocks.
        first: Width and groups of the first block, where they are others.
    """

    blocks: int
    filters: int
    width: int
    groups: int = 1
    attention: Part | None = None
    attended: tuple[int, ...] = ()
    first: tuple[int, int] | None = None


class Variant(NamedTuple):
    """One network.

    Attributes:
        stages: Its stages.
        stem: Filters of the stem's 3x3 convolutions; none means one 7x7 of 64.
        pool: How the stem halves the map the second time: by a 3x3 maximum, by a 2x2 average,
            or, with `None`, in its last convolution. Where that is its only one, the first stage
            halves the map instead.
        activation: The activation of all blocks.
        gate: Attention in each block that has a convolution.
        placement: Where that stands: at the end of the branch, or behind the 3x3 convolution.
        convolution: What stands instead of all 3x3 convolutions.
        pooling: How a block strides: by the convolution (`None`), by a 3x3 average pool before or
            after it, or by a 2x2 average pool behind it (`"blur"`).
        average_projections: Whether a 2x2 average pool strides before a projection.
        inverted: Whether a block has no activation behind its sum, and no shortcut where it
            changes the map's shape.
        key_share: Self-attention has as many channels of values as of keys, or so many times them.
        bottleneck: Whether a block is 1x1-3x3-1x1, or 3x3-3x3.
        last_filters: Filters of a 1x1 convolution behind the stages; 0 is none.
    """

    stages: tuple[Stage, ...]
    stem: tuple[int, ...] = ()
    pool: Literal["max", "average"] | None = "max"
    activation: Literal["relu", "silu"] = "relu"
    gate: Part | None = None
    placement: Literal["standard", "3x3"] = "standard"
    convolution: Part | None = None
    pooling: Literal["before", "after", "blur"] | None = None
    average_projections: bool = False
    bottleneck: bool = True
    inverted: bool = False
    key_share: int = 1
    last_filters: int = 0


DEEP, WIDE, TIERED = (32, 32, 64), (64, 64, 128), (24, 32, 64)
ECA: Part = ("eca", {})
SE: Part = ("se", {"ratio": 16, "bottleneck_divisor": 8})
WIDE_SE: Part = ("se", {"ratio": 4, "bottleneck_divisor": 8})
GC: Part = ("gc", {"ratio": 8})
SK: Part = (
    "sk",
    {
        "split_input": True,
        "ratio": 8,
        "bottleneck_divisor": 16,
        "min_bottleneck_channels": 1,
        "groups": 1,
    },
)
BAT: Part = ("bat", {"block_number": 8, "bottleneck_divisor": 8})


def _stages(blocks: tuple[int, ...], *, base: int = 64, groups: int = 1) -> tuple[Stage, ...]:
    """Bottlenecks of 64, 128, 256 and 512 planes, `base` of 64 of them in each of the groups."""
    planes = (64, 128, 256, 512)
    return tuple(
        Stage(number, 4 * each, each * base // 64 * groups, groups)
        for number, each in zip(blocks, planes, strict=True)
    )


def _basic(blocks: tuple[int, ...]) -> tuple[Stage, ...]:
    planes = (64, 128, 256, 512)
    return tuple(Stage(number, each, each) for number, each in zip(blocks, planes, strict=True))


def _of_resnet(stem: tuple[int, ...], blocks: tuple[int, ...], gate: Part, **more: Any) -> Variant:
    """As timm's resnet.py, with average pools before its projections where nothing else is said."""
    base, groups = more.pop("base", 64), more.pop("groups", 1)
    stages = _stages(blocks, base=base, groups=groups)
    return Variant(stages, stem, gate=gate, **{"average_projections": True, **more})


def _of_resnet_rs(blocks: tuple[int, ...]) -> Variant:
    """As timm's resnet.py: a fourth convolution strides in the stem, instead of a pool."""
    return _of_resnet((*DEEP, 64), blocks, WIDE_SE, pool=None)


def _of_resnest(
    stem: tuple[int, ...],
    blocks: tuple[int, ...],
    *,
    radix: int = 2,
    groups: int = 1,
    base: int = 64,
    pooling: Literal["before", "after"] = "after",
) -> Variant:
    """As timm's resnest.py."""
    options = {"radix": radix, "groups": groups, "bottleneck_divisor": 8}
    return Variant(
        _stages(blocks, base=base, groups=groups),
        stem,
        convolution=("split", options),
        pooling=pooling,
        average_projections=True,
    )


def _of_byobnet(
    stages: tuple[Stage, ...],
    gate: Part | None = None,
    *,
    pool: Literal["max"] | None = "max",
    activation: Literal["relu", "silu"] = "silu",
    last_filters: int = 0,
) -> Variant:
    """As timm's byobnet.py: gates stand behind the 3x3 convolutions."""
    return Variant(
        stages,
        TIERED,
        pool,
        activation,
        gate=gate,
        placement="3x3",
        last_filters=last_filters,
    )


def _grouped(blocks: tuple[int, ...], size: int) -> tuple[Stage, ...]:
    """Bottlenecks whose convolutions have groups of this many channels."""
    return tuple(each._replace(groups=each.width // size) for each in _stages(blocks))


def _attend(
    stages: tuple[Stage, ...], attention: Mapping[int, tuple[Part, tuple[int, ...]]]
) -> tuple[Stage, ...]:
    """The stages, those by number with self-attention in some blocks."""
    return tuple(
        each._replace(attention=attention[i][0], attended=attention[i][1])
        if i in attention
        else each
        for i, each in enumerate(stages, start=1)
    )


def _halo(halo_size: int, **more: Any) -> Part:
    return "halo", {"block_size": 8, "halo_size": halo_size, "mask_edges": False, **more}


def _inverted(
    blocks: tuple[int, ...], filters: tuple[int, ...], stem: int, ratio: int, size: int
) -> tuple[Stage, ...]:
    """Blocks that widen what they get by a ratio; their convolutions have groups of one size."""
    return tuple(
        Stage(
            number,
            each,
            ratio * each,
            ratio * each // size,
            first=(ratio * before, ratio * before // size),
        )
        for number, each, before in zip(blocks, filters, (stem, *filters), strict=False)
    )


def _lambda(scope: int | None) -> Part:
    return "lambda", {"scope": scope}


BOT: Part = ("bot", {})
_26, _50, _101 = (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3)
# The 33-layer networks: with convolutions 1536 channels in the last two stages.
_33 = (Stage(2, 256, 64), Stage(3, 512, 128), Stage(3, 1536, 384), Stage(2, 1536, 384))
_33_ATTENDED = (Stage(2, 256, 64), Stage(3, 512, 128), Stage(3, 1024, 256), Stage(2, 1536, 512))


def _in_26(attention: Part) -> dict[int, tuple[Part, tuple[int, ...]]]:
    return {3: (attention, (2,)), 4: (attention, (1, 2))}


def _in_33(attention: Part) -> dict[int, tuple[Part, tuple[int, ...]]]:
    return {2: (attention, (3,)), 3: (attention, (3,)), 4: (attention, (1, 2))}


def _in_50(second: Part, third: Part, fourth: Part, *, often: bool = False) -> Any:
    return {
        2: (second, (2, 4) if often else (4,)),
        3: (third, (2, 4, 6)),
        4: (fourth, (2,)),
    }


VARIANTS: dict[str, Variant] = {
    # ECA-Net (Wang et al., CVPR 2020). 50t, 50d and 101d are `ECAResNet50` and `ResNet101`.
    "ecaresnet26t": _of_resnet(TIERED, _26, ECA),
    "ecaresnet269d": _of_resnet(DEEP, (3, 30, 48, 8), ECA),
    "ecaresnetlight": _of_resnet((), (1, 1, 11, 3), ECA),
    # SENet; 50_32x4d and 101_32x4d are `SEResNeXt50` and `SEResNeXt101`.
    "seresnext26d_32x4d": _of_resnet(DEEP, _26, SE, base=4, groups=32),
    "seresnext26t_32x4d": _of_resnet(TIERED, _26, SE, base=4, groups=32),
    "seresnext101_32x8d": _of_resnet((), _101, SE, base=8, groups=32, average_projections=False),
    "seresnext101_64x4d": _of_resnet((), _101, SE, base=4, groups=64, average_projections=False),
    "seresnext101d_32x8d": _of_resnet(DEEP, _101, SE, base=8, groups=32),
    # ResNet-RS (Bello et al., NeurIPS 2021).
    "resnetrs50": _of_resnet_rs(_50),
    "resnetrs101": _of_resnet_rs(_101),
    "resnetrs152": _of_resnet_rs((3, 8, 36, 3)),
    "resnetrs200": _of_resnet_rs((3, 24, 36, 3)),
    "resnetrs270": _of_resnet_rs((4, 29, 53, 4)),
    "resnetrs350": _of_resnet_rs((4, 36, 72, 4)),
    "resnetrs420": _of_resnet_rs((4, 44, 87, 4)),
    # SENet with anti-aliasing by average pools.
    "seresnextaa101d_32x8d": _of_resnet(
        DEEP, (3, 4, 23, 3), SE, base=8, groups=32, pool="average", pooling="blur"
    ),
    "seresnextaa201d_32x8d": _of_resnet(
        WIDE, (3, 24, 36, 4), SE, base=8, groups=32, pool="average", pooling="blur"
    ),
    # ResNeSt (Zhang et al., 2020).
    "resnest14d": _of_resnest(DEEP, (1, 1, 1, 1)),
    "resnest26d": _of_resnest(DEEP, _26),
    "resnest50d": _of_resnest(DEEP, _50),
    "resnest101e": _of_resnest(WIDE, (3, 4, 23, 3)),
    "resnest200e": _of_resnest(WIDE, (3, 24, 36, 3)),
    "resnest269e": _of_resnest(WIDE, (3, 30, 48, 8)),
    "resnest50d_1s4x24d": _of_resnest(DEEP, _50, radix=1, groups=4, base=24, pooling="before"),
    "resnest50d_4s2x40d": _of_resnest(DEEP, _50, radix=4, groups=2, base=40, pooling="before"),
    # timm's own sizes, with several gates; gcresnet50t is `GCResNet50`.
    "resnext26ts": _of_byobnet(_grouped(_26, 32)),
    "seresnext26ts": _of_byobnet(_grouped(_26, 32), SE),
    "gcresnext26ts": _of_byobnet(_grouped(_26, 32), GC),
    "eca_resnext26ts": _of_byobnet(_grouped(_26, 32), ECA),
    "bat_resnext26ts": _of_byobnet(_grouped(_26, 32), BAT),
    "gcresnext50ts": _of_byobnet(_grouped(_50, 32), GC),
    "resnet32ts": _of_byobnet(_33, pool=None),
    "resnet33ts": _of_byobnet(_33, pool=None, last_filters=1280),
    "seresnet33ts": _of_byobnet(_33, SE, pool=None, last_filters=1280),
    "gcresnet33ts": _of_byobnet(_33, GC, pool=None, last_filters=1280),
    "eca_resnet33ts": _of_byobnet(_33, ECA, pool=None, last_filters=1280),
    # BoTNet (Srinivas et al., CVPR 2021).
    "botnet26t_256": _of_byobnet(_attend(_stages(_26), _in_26(BOT)), activation="relu"),
    "sebotnet33ts_256": _of_byobnet(
        _attend(_33_ATTENDED, _in_33(BOT)), SE, pool=None, last_filters=1280
    ),
    "eca_botnext26ts_256": _of_byobnet(
        _attend(_grouped(_26, 16), _in_26(("bot", {"key_depth": 64}))), ECA
    ),
    # HaloNet (Vaswani et al., CVPR 2021).
    "halonet26t": _of_byobnet(_attend(_stages(_26), _in_26(_halo(2))), activation="relu"),
    "sehalonet33ts": _of_byobnet(
        _attend(_33_ATTENDED, _in_33(_halo(3))), SE, pool=None, last_filters=1280
    ),
    "halonet50ts": _of_byobnet(
        _attend(_stages(_50), _in_50(_halo(3, num_heads=4), _halo(3), _halo(3)))
    ),
    "eca_halonext26ts": _of_byobnet(
        _attend(_grouped(_26, 16), _in_26(_halo(2, key_depth=128))), ECA
    ),
    # LambdaNetworks (Bello, ICLR 2021).
    "lambda_resnet26t": _of_byobnet(_attend(_stages(_26), _in_26(_lambda(9))), activation="relu"),
    "lambda_resnet26rpt_256": _of_byobnet(
        _attend(_stages(_26), _in_26(_lambda(None))), activation="relu"
    ),
    "lambda_resnet50ts": _of_byobnet(
        _attend(_stages(_50), _in_50(_lambda(9), _lambda(9), _lambda(9)))
    ),
    # Several of them.
    "lamhalobotnet50ts_256": _of_byobnet(
        _attend(_stages(_50), _in_50(_lambda(13), _halo(3), BOT, often=True)), pool=None
    ),
    "halo2botnet50ts_256": _of_byobnet(
        _attend(_stages(_50), _in_50(_halo(3), _halo(3), BOT, often=True)), pool=None
    ),
    # RegNetZ, whose attention strides by an average pool behind it, as 2 doesn't divide 7.
    "haloregnetz_b": Variant(
        _attend(
            _inverted((2, 6, 12, 2), (48, 96, 192, 288), 32, 3, 16),
            {
                3: (_halo(2, block_size=7), (4, 8, 12)),
                4: (_halo(2, block_size=7), (1, 2)),
            },
        ),
        (32,),
        None,
        "silu",
        gate=WIDE_SE,
        placement="3x3",
        inverted=True,
        key_share=3,
        last_filters=1536,
    ),
    # Selective Kernels (Li et al., CVPR 2019), each path with half of the channels.
    "skresnet18": Variant(_basic((2, 2, 2, 2)), convolution=SK, bottleneck=False),
    "skresnet34": Variant(_basic((3, 4, 6, 3)), convolution=SK, bottleneck=False),
}
