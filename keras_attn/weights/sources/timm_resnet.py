"""timm's sets for `TimmResNet` and `VoVNet`: ECA-ResNet, ResNeSt, HaloNet, BoTNet and more.

Facts: the pretrained_cfg of timm 1.0.31 for images and files; top-1 from its
results/results-imagenet.csv, at the size of the set. Files on GitHub have the beginning of
their SHA-256 in their names. Those on the hub are compared with the SHA-256 that the hub gives.
Sets for the 11,821 classes of ImageNet-12k are not listed.
"""

from __future__ import annotations

from dataclasses import replace

from keras_attn.weights.naming import Table
from keras_attn.weights.sources.timm import timm_set
from keras_attn.weights.sources.timm_names import (
    BYOBNET,
    HALO2BOT,
    HALONET50,
    HALOREGNETZ,
    LAMBDA_TABLE,
    RESNEST,
    RESNET,
    RESNET_AVERAGED,
    SKNET_BASIC,
    VOVNET,
    VOVNET_DEPTHWISE,
)
from keras_attn.weights.sources.weight_set import WeightSet

_ATTENTION = "v0.1-attn-weights/"

# Tag, names, top-1, side of the image, share of the centre, file on GitHub.
_Row = tuple[str, Table, float, int, float, str]
_ROWS: tuple[_Row, ...] = (
    (
        "ecaresnet26t.ra2_in1k",
        RESNET_AVERAGED,
        78.894,
        256,
        0.875,
        "v0.1-weights/ecaresnet26t_ra2-46609757.pth",
    ),
    (
        "ecaresnet269d.ra2_in1k",
        RESNET_AVERAGED,
        84.724,
        320,
        0.95,
        "v0.1-weights/ecaresnet269d_320_ra2-7baa55cb.pth",
    ),
    (
        "ecaresnetlight.miil_in1k",
        RESNET_AVERAGED,
        80.454,
        224,
        0.875,
        "v0.1-tresnet/ecaresnetlight-75a9c627.pth",
    ),
    (
        "seresnextaa101d_32x8d.ah_in1k",
        RESNET_AVERAGED,
        83.900,
        224,
        0.95,
        "v0.1-tpu-weights/seresnextaa101d_32x8d_ah-83c8ae12.pth",
    ),
    ("seresnextaa101d_32x8d.sw_in12k_ft_in1k", RESNET_AVERAGED, 85.956, 224, 0.875, ""),
    ("seresnextaa101d_32x8d.sw_in12k_ft_in1k_288", RESNET_AVERAGED, 86.530, 288, 0.95, ""),
    ("seresnextaa201d_32x8d.sw_in12k_ft_in1k_384", RESNET_AVERAGED, 87.304, 384, 1.0, ""),
    *(
        (f"seresnext{name}", naming, top1, 224, crop, file and f"{file}.pth")
        for name, naming, top1, crop, file in (
            (
                "26d_32x4d.bt_in1k",
                RESNET_AVERAGED,
                77.592,
                0.875,
                "v0.1-weights/seresnext26d_32x4d-80fa48a3",
            ),
            (
                "26t_32x4d.bt_in1k",
                RESNET_AVERAGED,
                77.980,
                0.875,
                "v0.1-weights/seresnext26tn_32x4d-569cb627",
            ),
            (
                "101_32x8d.ah_in1k",
                RESNET,
                83.618,
                0.95,
                "v0.1-tpu-weights/seresnext101_32x8d_ah-e6bc4c0a",
            ),
            ("101_64x4d.gluon_in1k", RESNET, 80.884, 0.875, ""),
            (
                "101d_32x8d.ah_in1k",
                RESNET_AVERAGED,
                83.702,
                0.95,
                "v0.1-tpu-weights/seresnext101d_32x8d_ah-191d7b94",
            ),
        )
    ),
    *(
        (f"resnetrs{depth}.tf_in1k", RESNET_AVERAGED, top1, size, crop, f"v0.1-{file}.pth")
        for depth, top1, size, crop, file in (
            (50, 77.858, 160, 0.91, "rs-weights/resnetrs50_ema-6b53758b"),
            (101, 80.706, 192, 0.94, "rs-weights/resnetrs101_i192_ema-1509bbf6"),
            (152, 82.900, 256, 1.0, "rs-weights/resnetrs152_i256_ema-a9aff7f9"),
            (200, 83.884, 256, 1.0, "tpu-weights/resnetrs200_c-6b698b88"),
            (270, 83.596, 256, 1.0, "rs-weights/resnetrs270_ema-b40e674c"),
            (350, 84.304, 288, 1.0, "rs-weights/resnetrs350_i256_ema-5a1aa8f1"),
            (420, 84.240, 320, 1.0, "rs-weights/resnetrs420_ema-972dee69"),
        )
    ),
    ("resnest14d.gluon_in1k", RESNEST, 75.516, 224, 0.875, ""),
    ("resnest26d.gluon_in1k", RESNEST, 78.476, 224, 0.875, ""),
    ("resnest50d.in1k", RESNEST, 80.958, 224, 0.875, ""),
    ("resnest101e.in1k", RESNEST, 82.916, 256, 0.875, ""),
    ("resnest200e.in1k", RESNEST, 83.880, 320, 0.909, ""),
    ("resnest269e.in1k", RESNEST, 84.542, 416, 0.928, ""),
    ("resnest50d_1s4x24d.in1k", RESNEST, 81.024, 224, 0.875, ""),
    ("resnest50d_4s2x40d.in1k", RESNEST, 81.146, 224, 0.875, ""),
    *(
        (f"{name}_in1k", BYOBNET, top1, 256, 0.9, f"{_ATTENTION}{file}.pth")
        for name, top1, file in (
            ("resnext26ts.ra2", 76.768, "resnext26ts_256_ra2-8bbd9106"),
            ("seresnext26ts.ch", 77.860, "seresnext26ts_256-6f0d74a3"),
            ("gcresnext26ts.ch", 77.810, "gcresnext26ts_256-e414378b"),
            ("eca_resnext26ts.ch", 77.446, "eca_resnext26ts_256-5a1d030f"),
            ("bat_resnext26ts.ch", 78.280, "bat_resnext26ts_256-fa6fd595"),
            ("gcresnext50ts.ch", 80.608, "gcresnext50ts_256-3e0f515e"),
            ("resnet32ts.ra2", 79.054, "resnet32ts_256-aacf5250"),
            ("resnet33ts.ra2", 79.216, "resnet33ts_256-e91b09a4"),
            ("seresnet33ts.ra2", 80.380, "seresnet33ts_256-f8ad44d9"),
            ("gcresnet33ts.ra2", 80.072, "gcresnet33ts_256-0e0cd345"),
            ("eca_resnet33ts.ra2", 80.084, "eca_resnet33ts_256-8f98face"),
        )
    ),
    *(
        (f"{name}_in1k", naming, top1, 256, crop, f"{_ATTENTION}{file}.pth")
        for name, naming, top1, crop, file in (
            ("botnet26t_256.c1", BYOBNET, 79.256, 0.95, "botnet26t_c1_256-167a0e9f"),
            ("sebotnet33ts_256.a1h", BYOBNET, 81.156, 0.94, "sebotnet33ts_a1h2_256-957e3c3e"),
            ("eca_botnext26ts_256.c1", BYOBNET, 79.262, 0.95, "eca_botnext26ts_c_256-95a898f6"),
            ("halonet26t.a1h", BYOBNET, 79.134, 0.95, "halonet26t_a1h_256-3083328c"),
            ("sehalonet33ts.ra2", BYOBNET, 80.976, 0.94, "sehalonet33ts_256-87e053f9"),
            ("halonet50ts.a1h", HALONET50, 81.640, 0.94, "halonet50ts_a1h2_256-f3a3daee"),
            ("eca_halonext26ts.c1", BYOBNET, 79.518, 0.94, "eca_halonext26ts_c_256-06906299"),
            ("lambda_resnet26t.c1", BYOBNET, 79.126, 0.94, "lambda_resnet26t_c_256-e5a5c857"),
            (
                "lambda_resnet26rpt_256.c1",
                LAMBDA_TABLE,
                78.960,
                0.94,
                "lambda_resnet26rpt_c_256-ab00292d",
            ),
            ("lambda_resnet50ts.a1h", BYOBNET, 81.184, 0.95, "lambda_resnet50ts_a1h_256-b87370f7"),
            (
                "lamhalobotnet50ts_256.a1h",
                BYOBNET,
                81.552,
                0.95,
                "lamhalobotnet50ts_a1h2_256-fe3d9445",
            ),
            (
                "halo2botnet50ts_256.a1h",
                HALO2BOT,
                82.084,
                0.95,
                "halo2botnet50ts_a1h2_256-fd9c11a3",
            ),
        )
    ),
    ("skresnet18.ra_in1k", SKNET_BASIC, 73.020, 224, 0.875, ""),
    ("skresnet34.ra_in1k", SKNET_BASIC, 76.956, 224, 0.875, ""),
)
_BILINEAR = ("resnest14d", "resnest26d", "resnest50d", "resnest101e")


def _sets() -> tuple[WeightSet, ...]:
    sets, seen = [], set()
    for tag, naming, top1, size, crop, file in _ROWS:
        variant = tag.split(".")[0]
        each = timm_set(
            tag,
            "TimmResNet",
            naming,
            top1,
            url=file,
            size=size,
            crop=crop,
            interpolation="bilinear" if variant in _BILINEAR else "bicubic",
            is_default=variant not in seen,
            variant=variant,
        )
        seen.add(variant)
        sets.append(each)
    return tuple(sets)


_VOVNETS = tuple(
    timm_set(f"{variant}.ra_in1k", "VoVNet", naming, top1, is_default=True, variant=variant)
    for variant, naming, top1 in (
        ("ese_vovnet19b_dw", VOVNET_DEPTHWISE, 76.828),
        ("ese_vovnet39b", VOVNET, 79.312),
    )
)
_VOVNET57 = timm_set(
    "ese_vovnet57b.ra4_e3600_r256_in1k",
    "VoVNet",
    VOVNET,
    82.460,
    size=256,
    crop=0.95,
    is_default=True,
    variant="ese_vovnet57b",
)
_HALOREGNETZ = timm_set(
    "haloregnetz_b.ra3_in1k",
    "TimmResNet",
    HALOREGNETZ,
    81.058,
    url=f"{_ATTENTION}haloregnetz_c_raa_256-c8ad7616.pth",
    crop=0.94,
    is_default=True,
    variant="haloregnetz_b",
)
_HALF = (0.5, 0.5, 0.5)
SETS = (
    *_sets(),
    *_VOVNETS,
    *(
        replace(each, metadata=replace(each.metadata, mean=_HALF, std=_HALF))
        for each in (_HALOREGNETZ, _VOVNET57)
    ),
)
