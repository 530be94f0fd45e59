"""ResNets with CBAM, BAM, Gather-Excite, ECA, Global Context or Selective Kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_attn.applications.common.block_attention import AttentionInBlocks
from keras_attn.applications.common.construction import (
    Arguments,
    check_attention,
    construct,
    constructor,
)
from keras_attn.applications.common.preprocessing import IMAGENET
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.common.residual_network import (
    RESNETS,
    SIDES,
    BlockAttention,
    Variant,
    check_geometry,
    check_stages,
    residual_features,
)
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.applications.se_resnet import RESNEXTS
from keras_attn.insertion import KINDS


@dataclass(frozen=True)
class Family:
    """The networks of one paper.

    Attributes:
        kind: Of `keras_attn.insertion.KINDS`, with its place in the blocks.
        title: What a constructor's name begins with.
        paper: Authors, title, year, address.
        place: Where the attention stands, and what else is to know.
        options: The layer's arguments that the constructors take, and their defaults.
        documents: What the options are.
        variants: The networks by depth.
    """

    kind: str
    title: str
    paper: str
    place: str
    options: Mapping[str, Any]
    documents: Mapping[str, str]
    variants: Mapping[int, Variant] = field(default_factory=lambda: RESNETS)


_RATIO = "Reduction of the bottleneck in each {}."

FAMILIES = {
    family.kind: family
    for family in (
        Family(
            "cbam",
            "CBAM",
            '[Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018](\n'
            "    https://arxiv.org/abs/1807.06521)",
            "as in its authors' code\n    (github.com/Jongchan/attention-module): a `CBAM` at the "
            "end of each block's branch, behind the\n    last BatchNormalization. As there, the "
            "spatial gates' gammas start at 0, so that each gate\n    starts at 1/2. "
            "Users report accuracies below plain ResNets' on small data sets: issue 24 there.",
            {"ratio": 16, "zero_gamma": True},
            {
                "ratio": _RATIO.format("`CBAM`"),
                "zero_gamma": "Whether the gamma of each spatial gate's BatchNormalization starts "
                "at 0.",
            },
        ),
        Family(
            "bam",
            "BAM",
            '[Park et al., "BAM: Bottleneck Attention Module", BMVC 2018](\n'
            "    https://arxiv.org/abs/1807.06514)",
            "as in its authors' code\n    (github.com/Jongchan/attention-module): a `BAM` behind "
            "each stage but the last. Its two branches\n    are added, as in the paper; that code "
            "multiplies them. Users report accuracies below plain\n    ResNets' on small data "
            "sets: issue 24 there.",
            {"ratio": 16, "combine": "sum"},
            {
                "ratio": _RATIO.format("`BAM`"),
                "combine": '`"sum"` as in the paper, or `"product"` as in the authors\' code.',
            },
        ),
        Family(
            "ge",
            "GE",
            '[Hu et al., "Gather-Excite: Exploiting Feature Context in Convolutional Neural '
            'Networks",\n    NeurIPS 2018](https://arxiv.org/abs/1810.12348)',
            "as in its authors' prototxts: a\n    `GatherExcite` at the end of each block's "
            "branch. With global convolutions (theta and\n    theta-plus) a network serves one "
            "size of image only.",
            {"mode": "theta_minus", "extent": "global", "ratio": 16},
            {
                "mode": '`"theta_minus"` has no weights; `"theta"` gathers by depthwise '
                'convolutions;\n            `"theta_plus"` excites by two 1x1 convolutions, too.',
                "extent": '2, 4, 8 or `"global"`: from how far each place gathers.',
                "ratio": _RATIO.format("`GatherExcite` of theta-plus"),
            },
        ),
        Family(
            "eca",
            "ECA",
            '[Wang et al., "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural '
            'Networks",\n    CVPR 2020](https://arxiv.org/abs/1910.03151)',
            "an\n    `EfficientChannelAttention` at the end of each block's branch.",
            {"kernel_size": None},
            {
                "kernel_size": "Channels that a gate is computed from, odd; `None` takes the "
                "paper's rule."
            },
        ),
        Family(
            "gc",
            "GC",
            '[Cao et al., "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond",'
            "\n    ICCV workshops 2019](https://arxiv.org/abs/1904.11492)",
            "a `GlobalContext` at the end of\n    each block's branch. timm's `gcresnet50t` "
            "has it behind the 3x3 convolution, and another stem.",
            {"ratio": 16, "fusion": "add", "placement": "standard"},
            {
                "placement": "Where a block has its `GlobalContext`: at the end of the branch "
                '(`"standard"`), or\n            behind the 3x3 convolution\'s ReLU (`"3x3"`).',
                "ratio": _RATIO.format("`GlobalContext`"),
                "fusion": '`"add"` as in the paper, or `"scale"`.',
            },
        ),
        Family(
            "sk",
            "SK",
            '[Li et al., "Selective Kernel Networks", CVPR 2019](https://arxiv.org/abs/1903.06586)',
            "there\n    SKNet-50: ResNeXt-50 (32x4d) whose 3x3 convolutions are `SelectiveKernel`s "
            'of 32 groups. With\n    `ResNet50(attention="sk")` they replace ResNet-50\'s.',
            {"ratio": 16, "min_bottleneck_channels": 32},
            {
                "ratio": _RATIO.format("`SelectiveKernel`"),
                "min_bottleneck_channels": "The least channels of that bottleneck, the paper's L.",
            },
            {50: RESNEXTS[50]},
        ),
    )
}


def _attention_resnet(
    network: tuple[Family, int],
    *,
    include_top: bool = True,
    include_preprocessing: bool = False,
    weights: str | os.PathLike | None = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    pyramid_outputs: bool | Sequence[str] = False,
    attention: str | None = "cbam",
    stages: Sequence[int] | None = None,
    geometry: str = "torchvision",
    name: str | None = None,
    **options: Any,
) -> keras.Model:
    """A residual network with a family's attention in its blocks."""
    family, depth = network
    variant = family.variants[depth]
    check_attention(attention, (None, family.kind))
    check_stages(stages)
    check_geometry(geometry)
    in_blocks = BlockAttention()
    if attention is not None:
        of_layer = {**family.options, **options}
        placement = of_layer.pop("placement", None)
        if placement not in (None, "standard", "3x3"):
            raise ValueError(
                f"`placement` must be one of 'standard', '3x3'. Received: placement={placement!r}"
            )
        in_blocks = AttentionInBlocks(family.kind, SIDES, stages, of_layer, placement)
    default_name = f"{family.kind}_resnet{depth}" if attention else variant.name
    if attention and "mode" in family.options:
        default_name += f"_{options.get('mode', family.options['mode'])}"
    arguments = Arguments(
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
    return construct(
        arguments,
        lambda x: residual_features(x, variant, in_blocks, geometry),
        default_size=224,
        min_size=32,
        normalisation=IMAGENET,
        dropout=variant.dropout,
    )


_DOC = """{title}-ResNet-{depth}: {what} with `{layer}`.

    {paper}, {place}

    Args:
        include_top: Whether the network ends in its classifier.
        include_preprocessing: Whether the network takes pixels in 0..255 and normalises them.
        weights: `None` (random initialization), the path to a weights file, or a set's tag,
            `"imagenet"` or `"cifar10"` where there is one: see `keras-attn models --weights`.
        input_tensor: Optional Keras tensor to use as the image.
        input_shape: Optional shape without the batch; sides of at least 32, or `None`.
        pooling: `None`, `"avg"` or `"max"`, what follows the last map without a top.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` returns the logits.
        pyramid_outputs: Whether the network returns the last map of each stage instead, as a dict
            of the levels P2 to P5 (stride 4 to 32); or the levels that it returns.
        attention: `"{kind}"`, or `None` for the same network without it.
        stages: The stages (1 to 4) that have attention; by default the paper's.
        geometry: `"torchvision"` has a max pool padded by 1, `"caffe"` one in ceil mode. Where the
            3x3 convolution of a bottleneck strides, `"caffe"` strides in the first 1x1. Sets of
            weights bring theirs; all are in
            `keras_attn.applications.common.residual_network.GEOMETRIES`.
        name: Name of the model.
        {options}

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.{title}ResNet{depth}(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, {channels})
    """


def _constructor(kind: str, depth: int) -> Callable[..., keras.Model]:
    family = FAMILIES[kind]
    variant = family.variants[depth]
    doc = _DOC.format(
        title=family.title,
        kind=kind,
        depth=depth,
        what="ResNet" if variant in RESNETS.values() else "ResNeXt (32x4d)",
        layer=KINDS[kind].layer.__name__,
        paper=family.paper,
        place=family.place,
        options="\n        ".join(f"{key}: {text}" for key, text in family.documents.items()),
        channels=2048 if variant.bottleneck else 512,
    )
    return constructor(
        f"{family.title}ResNet{depth}",
        _attention_resnet,
        (family, depth),
        doc,
        {"attention": kind},
        family.options,
    )


CBAMResNet18 = _constructor("cbam", 18)
CBAMResNet34 = _constructor("cbam", 34)
CBAMResNet50 = _constructor("cbam", 50)
CBAMResNet101 = _constructor("cbam", 101)
BAMResNet18 = _constructor("bam", 18)
BAMResNet34 = _constructor("bam", 34)
BAMResNet50 = _constructor("bam", 50)
BAMResNet101 = _constructor("bam", 101)
GEResNet50 = _constructor("ge", 50)
ECAResNet50 = _constructor("eca", 50)
GCResNet50 = _constructor("gc", 50)
SKResNet50 = _constructor("sk", 50)
