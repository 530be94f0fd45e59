"""timm's networks: SE-ResNet, SE-ResNeXt, SENet-154, and those with ECA, GC and SK.

Facts: timm 1.0.31, `senet.py` (legacy_*), `resnet.py`, `byobnet.py` (gcresnet50t), `sknet.py`, and
its pretrained_cfg for images and licence; top-1 from its results/results-imagenet.csv. The files
of legacy_* are on GitHub, with the beginning of their SHA-256 in their names. Those on the hub
are compared with the SHA-256 that the hub gives; none is fixed here, as no file was seen.
"""

from __future__ import annotations

from typing import Any

from keras_attn.weights.metadata import Metadata, RemoteFile
from keras_attn.weights.naming import Table
from keras_attn.weights.sources.timm_names import (
    BYOBNET,
    RESNET,
    RESNET_AVERAGED,
    SENET,
    SKNET,
)
from keras_attn.weights.sources.weight_set import WeightSet

_GITHUB = "https://github.com/rwightman/pytorch-image-models/releases/download/"


def timm_set(
    name: str,
    constructor: str,
    naming: Table,
    top1: float | None,
    *,
    url: str = "",
    size: int = 224,
    crop: float = 0.875,
    interpolation: str = "bicubic",
    is_default: bool = False,
    **arguments: Any,
) -> WeightSet:
    """A set of timm's.

    Args:
        name: timm's name for it, network and tag.
        constructor: Our constructor's name.
        naming: What timm calls the weights.
        top1: Top-1 accuracy in percent, at `size`; `None` where it was not read.
        url: The file on GitHub, whose name ends in the beginning of its SHA-256; `""` means the
            one on the hub.
        size: Side of the image.
        crop: Share of it that is cropped from the centre.
        interpolation: How images are resized.
        is_default: Whether `weights="imagenet"` means this one.
        **arguments: The constructor's.

    Returns:
        The set.
    """
    file = RemoteFile(f"hf://timm/{name}/model.safetensors")
    if url:
        digits = url.removesuffix(".pth").rsplit("-", 1)[-1]
        file = RemoteFile(_GITHUB + url, sha256=digits)
    metadata = Metadata(
        f"timm/{name}",
        constructor,
        "timm, github.com/huggingface/pytorch-image-models",
        "Apache-2.0",
        top1,
        f"ImageNet-1k, validation, {size}x{size}",
        size=size,
        crop=crop,
        interpolation=interpolation,
        sha256=file.sha256,
    )
    return WeightSet(metadata, naming, file, arguments, is_default)


_CADENE = "v0.1-cadene/se_resnet"
SETS = (
    timm_set(
        "legacy_seresnet18.in1k",
        "SEResNet18",
        SENET,
        71.742,
        url="v0.1-weights/seresnet18-4bb0ce65.pth",
        is_default=True,
        geometry="legacy",
    ),
    timm_set(
        "legacy_seresnet34.in1k",
        "SEResNet34",
        SENET,
        74.788,
        url="v0.1-weights/seresnet34-a4004e63.pth",
        interpolation="bilinear",
        is_default=True,
        geometry="legacy",
    ),
    *(
        timm_set(
            f"legacy_{name}.in1k",
            constructor,
            SENET,
            top1,
            url=url,
            interpolation="bilinear",
            is_default=constructor in ("SEResNet101", "SEResNet152", "SENet154"),
            geometry="caffe",
        )
        for name, constructor, top1, url in (
            ("seresnet50", "SEResNet50", 77.650, f"{_CADENE}50-ce0d4300.pth"),
            ("seresnet101", "SEResNet101", 78.370, f"{_CADENE}101-7e38fcc6.pth"),
            ("seresnet152", "SEResNet152", 78.662, f"{_CADENE}152-d17c99b7.pth"),
            (
                "seresnext50_32x4d",
                "SEResNeXt50",
                79.080,
                "v0.1-weights/legacy_se_resnext50_32x4d-f3651bad.pth",
            ),
            (
                "seresnext101_32x4d",
                "SEResNeXt101",
                80.274,
                "v0.1-weights/legacy_se_resnext101_32x4d-37725eac.pth",
            ),
            ("senet154", "SENet154", 81.320, "v0.1-weights/legacy_senet154-e9eb9fe6.pth"),
        )
    ),
    *(
        timm_set(name, constructor, RESNET, top1, is_default=default, geometry="torchvision")
        for name, constructor, top1, default in (
            ("seresnet50.ra2_in1k", "SEResNet50", 80.260, True),
            ("seresnext50_32x4d.racm_in1k", "SEResNeXt50", 81.268, True),
            ("seresnext50_32x4d.gluon_in1k", "SEResNeXt50", 79.916, False),
            ("seresnext101_32x4d.gluon_in1k", "SEResNeXt101", 80.886, True),
            ("senet154.gluon_in1k", "SENet154", 81.258, False),
        )
    ),
    *(
        timm_set(name, "SEResNet50", RESNET, top1, crop=0.95, geometry="torchvision")
        for name, top1 in (
            ("seresnet50.a1_in1k", 80.012),
            ("seresnet50.a2_in1k", 80.102),
            ("seresnet50.a3_in1k", 77.036),
        )
    ),
    timm_set(
        "seresnet152d.ra2_in1k",
        "SEResNet152",
        RESNET_AVERAGED,
        83.702,
        size=256,
        crop=0.95,
        geometry="resnet_d",
    ),
    timm_set(
        "ecaresnet50t.ra2_in1k",
        "ECAResNet50",
        RESNET_AVERAGED,
        81.450,
        size=256,
        geometry="resnet_t",
    ),
    timm_set(
        "ecaresnet50t.a1_in1k",
        "ECAResNet50",
        RESNET_AVERAGED,
        81.282,
        crop=0.95,
        is_default=True,
        geometry="resnet_t",
    ),
    *(
        timm_set(
            f"ecaresnet50t.{recipe}_in1k",
            "ECAResNet50",
            RESNET_AVERAGED,
            top1,
            crop=0.95,
            geometry="resnet_t",
        )
        for recipe, top1 in (("a2", 80.884), ("a3", 79.548))
    ),
    timm_set("ecaresnet50d.miil_in1k", "ECAResNet50", RESNET_AVERAGED, 80.634, geometry="resnet_d"),
    timm_set(
        "ecaresnet101d.miil_in1k",
        "ResNet101",
        RESNET_AVERAGED,
        82.180,
        geometry="resnet_d",
        attention="eca",
    ),
    timm_set(
        "gcresnet50t.ra2_in1k",
        "GCResNet50",
        BYOBNET,
        80.944,
        size=256,
        crop=0.9,
        is_default=True,
        geometry="tiered",
        placement="3x3",
        ratio=8,
    ),
    timm_set(
        "skresnext50_32x4d.ra_in1k",
        "SKResNet50",
        SKNET,
        80.168,
        is_default=True,
        geometry="torchvision",
    ),
)
