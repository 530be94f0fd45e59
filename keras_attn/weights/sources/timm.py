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
from keras_attn.weights.sources.weight_set import WeightSet

_BLOCK = (
    ("stage{s}_block{b}_conv{c}", "layer{s}.{b-1}.conv{c}"),
    ("stage{s}_block{b}_bn{c}", "layer{s}.{b-1}.bn{c}"),
)


def _projection(first: int) -> tuple[tuple[str, str], ...]:
    """Behind an average pool, which has a number of its own."""
    return (
        ("stage{s}_block{b}_projection", f"layer{{s}}.{{b-1}}.downsample.{first}"),
        ("stage{s}_block{b}_projection_bn", f"layer{{s}}.{{b-1}}.downsample.{first + 1}"),
    )


def _squeeze_excite(name: str) -> tuple[tuple[str, str], ...]:
    ours = "stage{s}_block{b}_se/"
    theirs = f"layer{{s}}.{{b-1}}.{name}."
    return (
        (f"{ours}reduce_kernel", f"{theirs}fc1.weight"),
        (f"{ours}reduce_bias", f"{theirs}fc1.bias"),
        (f"{ours}expand_kernel", f"{theirs}fc2.weight"),
        (f"{ours}expand_bias", f"{theirs}fc2.bias"),
    )


SENET = Table(
    "timm's senet.py",
    (
        ("stem_conv", "layer0.conv1"),
        ("stem_bn", "layer0.bn1"),
        ("stem_conv{c}", "layer0.conv{c}"),
        ("stem_bn{c}", "layer0.bn{c}"),
        *_BLOCK,
        *_projection(0),
        *_squeeze_excite("se_module"),
        ("predictions", "last_linear"),
    ),
    marks=("layer0.conv1.weight",),
)

_RESNET = (
    ("stem_conv", "conv1"),
    ("stem_bn", "bn1"),
    ("stem_conv1", "conv1.0"),
    ("stem_bn1", "conv1.1"),
    ("stem_conv2", "conv1.3"),
    ("stem_bn2", "conv1.4"),
    ("stem_conv3", "conv1.6"),
    ("stem_bn3", "bn1"),
    *_BLOCK,
    *_squeeze_excite("se"),
    ("stage{s}_block{b}_eca/conv", "layer{s}.{b-1}.se.conv"),
    ("predictions", "fc"),
)
RESNET = Table(
    "timm's resnet.py",
    (*_RESNET, *_projection(0)),
    marks=("bn1.weight", "layer1.0.conv1.weight", "layer2.0.downsample.1.weight"),
)
RESNET_AVERAGED = Table(
    "timm's resnet.py with average pools in its shortcuts",
    (*_RESNET, *_projection(1)),
    marks=("bn1.weight", "layer2.0.downsample.2.weight"),
)

SKNET = Table(
    "timm's sknet.py",
    (
        ("stem_conv", "conv1"),
        ("stem_bn", "bn1"),
        ("stage{s}_block{b}_conv{c}", "layer{s}.{b-1}.conv{c}.conv"),
        ("stage{s}_block{b}_bn{c}", "layer{s}.{b-1}.conv{c}.bn"),
        ("stage{s}_block{b}_sk/path{p}_conv", "layer{s}.{b-1}.conv2.paths.{p-1}.conv"),
        ("stage{s}_block{b}_sk/path{p}_bn", "layer{s}.{b-1}.conv2.paths.{p-1}.bn"),
        ("stage{s}_block{b}_sk/reduce", "layer{s}.{b-1}.conv2.attn.fc_reduce"),
        ("stage{s}_block{b}_sk/reduce_bn", "layer{s}.{b-1}.conv2.attn.bn"),
        ("stage{s}_block{b}_sk/select", "layer{s}.{b-1}.conv2.attn.fc_select"),
        *_projection(0),
        ("predictions", "fc"),
    ),
    marks=("layer1.0.conv2.paths.0.conv.weight",),
)

_BYOB_BLOCK = "stages.{s-1}.{b-1}."
BYOBNET = Table(
    "timm's byobnet.py",
    (
        ("stem_conv{c}", "stem.conv{c}.conv"),
        ("stem_bn{c}", "stem.conv{c}.bn"),
        ("stage{s}_block{b}_conv2", f"{_BYOB_BLOCK}conv2_kxk.conv"),
        ("stage{s}_block{b}_bn2", f"{_BYOB_BLOCK}conv2_kxk.bn"),
        ("stage{s}_block{b}_conv{c}", f"{_BYOB_BLOCK}conv{{c}}_1x1.conv"),
        ("stage{s}_block{b}_bn{c}", f"{_BYOB_BLOCK}conv{{c}}_1x1.bn"),
        ("stage{s}_block{b}_projection", f"{_BYOB_BLOCK}shortcut.conv"),
        ("stage{s}_block{b}_projection_bn", f"{_BYOB_BLOCK}shortcut.bn"),
        ("stage{s}_block{b}_gc/logit", f"{_BYOB_BLOCK}attn.conv_attn"),
        ("stage{s}_block{b}_gc/reduce", f"{_BYOB_BLOCK}attn.mlp_add.fc1"),
        ("stage{s}_block{b}_gc/ln", f"{_BYOB_BLOCK}attn.mlp_add.norm"),
        ("stage{s}_block{b}_gc/expand", f"{_BYOB_BLOCK}attn.mlp_add.fc2"),
        ("predictions", "head.fc"),
    ),
    marks=("stem.conv1.conv.weight",),
)

_GITHUB = "https://github.com/rwightman/pytorch-image-models/releases/download/"


def _set(
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
    _set(
        "legacy_seresnet18.in1k",
        "SEResNet18",
        SENET,
        71.742,
        url="v0.1-weights/seresnet18-4bb0ce65.pth",
        is_default=True,
        geometry="legacy",
    ),
    _set(
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
        _set(
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
        _set(name, constructor, RESNET, top1, is_default=default, geometry="torchvision")
        for name, constructor, top1, default in (
            ("seresnet50.ra2_in1k", "SEResNet50", 80.260, True),
            ("seresnext50_32x4d.racm_in1k", "SEResNeXt50", 81.268, True),
            ("seresnext50_32x4d.gluon_in1k", "SEResNeXt50", 79.916, False),
            ("seresnext101_32x4d.gluon_in1k", "SEResNeXt101", 80.886, True),
            ("senet154.gluon_in1k", "SENet154", 81.258, False),
        )
    ),
    *(
        _set(name, "SEResNet50", RESNET, top1, crop=0.95, geometry="torchvision")
        for name, top1 in (
            ("seresnet50.a1_in1k", 80.012),
            ("seresnet50.a2_in1k", 80.102),
            ("seresnet50.a3_in1k", 77.036),
        )
    ),
    _set(
        "seresnet152d.ra2_in1k",
        "SEResNet152",
        RESNET_AVERAGED,
        83.702,
        size=256,
        crop=0.95,
        geometry="resnet_d",
    ),
    _set(
        "ecaresnet50t.ra2_in1k",
        "ECAResNet50",
        RESNET_AVERAGED,
        81.450,
        size=256,
        geometry="resnet_t",
    ),
    _set(
        "ecaresnet50t.a1_in1k",
        "ECAResNet50",
        RESNET_AVERAGED,
        81.282,
        crop=0.95,
        is_default=True,
        geometry="resnet_t",
    ),
    *(
        _set(
            f"ecaresnet50t.{recipe}_in1k",
            "ECAResNet50",
            RESNET_AVERAGED,
            None,
            crop=0.95,
            geometry="resnet_t",
        )
        for recipe in ("a2", "a3")
    ),
    _set("ecaresnet50d.miil_in1k", "ECAResNet50", RESNET_AVERAGED, 80.634, geometry="resnet_d"),
    _set(
        "ecaresnet101d.miil_in1k",
        "ResNet101",
        RESNET_AVERAGED,
        82.180,
        geometry="resnet_d",
        attention="eca",
    ),
    _set(
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
    _set(
        "skresnext50_32x4d.ra_in1k",
        "SKResNet50",
        SKNET,
        80.168,
        is_default=True,
        geometry="torchvision",
    ),
)
NAMINGS = (SENET, SKNET, BYOBNET, RESNET_AVERAGED, RESNET)
