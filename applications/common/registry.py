"""Every network by its name, for the command line and for tables."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_attn.applications.aa_resnet import AAResNet34, AAResNet50, AAResNet101, AAResNet152
from keras_attn.applications.attention_resnet import (
    BAMResNet18,
    BAMResNet34,
    BAMResNet50,
    BAMResNet101,
    CBAMResNet18,
    CBAMResNet34,
    CBAMResNet50,
    CBAMResNet101,
    ECAResNet50,
    GCResNet50,
    GEResNet50,
    SKResNet50,
)
from keras_attn.applications.bn_inception import SEBNInception
from keras_attn.applications.cifar_resnet import CIFARResNet
from keras_attn.applications.mnasnet import AAMnasNet, MnasNet
from keras_attn.applications.mobilenet import SEMobileNet
from keras_attn.applications.residual_attention import (
    ResidualAttention56,
    ResidualAttention92,
    ResidualAttentionInception56,
    ResidualAttentionNeXt56,
    ResidualAttentionNeXt92,
)
from keras_attn.applications.residual_attention_cifar import VARIANTS, ResidualAttentionCIFAR
from keras_attn.applications.resnet import ResNet18, ResNet34, ResNet50, ResNet101, ResNet152
from keras_attn.applications.se_resnet import (
    SENet154,
    SEResNet18,
    SEResNet34,
    SEResNet50,
    SEResNet101,
    SEResNet152,
    SEResNeXt50,
    SEResNeXt101,
)
from keras_attn.applications.shufflenet import SEShuffleNet
from keras_attn.applications.wide_resnet import AAWideResNet28x10, WideResNet28x10


@dataclass(frozen=True)
class Published:
    """What a paper, or its authors' code, says of a network's cost.

    Attributes:
        source: Where the numbers stand.
        parameters: As printed there: `"36.2M"`, `"28,088,024"`.
        counted: Which of our counts that is, `"trainable"` or `"all"`.
        compute: As printed there, and what was counted: `"6.2 GMACs"`, `"8.2 GFLOPs"`. Papers
            write FLOPs for either.
        note: Why ours differs, where it does.
    """

    source: str
    parameters: str = ""
    counted: str = "trainable"
    compute: str = ""
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """A network that can be asked for by name.

    Attributes:
        construct: Its constructor.
        input_size: Side of the default input, in pixels.
        source: Paper and section, or the authors' file.
        arguments: What the name fixes of the constructor's arguments.
        published: Numbers to compare with, only such as were read and not recalled.
    """

    construct: Callable[..., keras.Model]
    input_size: int
    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    published: Published | None = None

    def __call__(self, **kwargs: Any) -> keras.Model:
        """Constructs the network; keyword arguments as its constructor's."""
        return self.construct(**{**self.arguments, **kwargs})


def printed_value(text: str) -> tuple[float, float]:
    """Reads a number as it is printed.

    Args:
        text: A number and a unit, as in `Published`.

    Returns:
        The value, and the greatest error that its rounding allows.

    Example:

    >>> printed_value("36M")
    (36000000.0, 500000.0)
    """
    number, unit = text.split() if " " in text else (text.rstrip("M"), "M" * text.endswith("M"))
    scale = {"": 1, "M": 1e6, "MMACs": 1e6, "GMACs": 1e9, "GFLOPs": 1e9}[unit]
    decimals = len(number.partition(".")[2])
    return float(number.replace(",", "")) * scale, 0.5 * 10**-decimals * scale


# ---------------------------------------------------------------------------------- 32x32 images

_RESNET = "He et al., CVPR 2016, section 4.2"
_CIFAR_RESNETS = {
    f"{attention + '_' if attention else ''}resnet{depth}_cifar": Entry(
        CIFARResNet, 32, source, {"depth": depth, "attention": attention}
    )
    for attention, source in {
        None: _RESNET,
        "se": f"Hu et al., CVPR 2018, on {_RESNET}",
        "aa": f"Bello et al., ICCV 2019, on {_RESNET}",
    }.items()
    for depth in (20, 32, 44, 56, 110)
}

_RAN_CIFAR = "Wang et al., CVPR 2017, section 4.1"
_WITHOUT_NORMS = (
    "the paper's count is that of convolutions and classifier, without BatchNormalization"
)
_RAN_CIFAR_PUBLISHED = {
    92: Published(_RAN_CIFAR, "1.9M", note=_WITHOUT_NORMS),
    236: Published(_RAN_CIFAR, "5.1M", note=_WITHOUT_NORMS),
    452: Published(
        _RAN_CIFAR, "8.6M", note="how r = 3 spreads over the mask is not known; see AttentionModule"
    ),
}
_RESIDUAL_ATTENTION_CIFAR = {
    f"residual_attention{depth}_cifar": Entry(
        ResidualAttentionCIFAR,
        32,
        _RAN_CIFAR,
        {"depth": depth},
        _RAN_CIFAR_PUBLISHED.get(depth),
    )
    for depth in VARIANTS
}

_AA = "Bello et al., ICCV 2019"
_PRODUCTS = "the paper's GFLOPs do not hold all of attention's products"
_WIDE_RESNETS = {
    "wide_resnet28x10": Entry(
        WideResNet28x10,
        32,
        f"Zagoruyko and Komodakis, BMVC 2016, as in {_AA}",
        published=Published(_AA, "36.3M", compute="10.4 GFLOPs"),
    ),
    "aa_wide_resnet28x10": Entry(
        AAWideResNet28x10,
        32,
        _AA,
        published=Published(
            _AA,
            "36.2M",
            compute="10.9 GFLOPs",
            note=f"the placement that the paper states has 0.15M fewer; {_PRODUCTS}",
        ),
    ),
}

# ------------------------------------------------------------------------------- 224x224 images

_RAN_CODE = "github.com/fwang91/residual-attention-network"
_RAN = "Wang et al., CVPR 2017"
_RESIDUAL_ATTENTIONS = {
    "residual_attention56": Entry(
        ResidualAttention56,
        224,
        f"{_RAN_CODE}, Attention-56",
        published=Published(
            _RAN,
            "31.9M",
            "all",
            "6.2 GMACs",
            "the authors' prototxt has 6.27 GMACs",
        ),
    ),
    "residual_attention92": Entry(
        ResidualAttention92,
        224,
        f"{_RAN_CODE}, Attention-92",
        published=Published(
            _RAN,
            "51.3M",
            "all",
            "10.4 GMACs",
            "the authors' prototxt, followed here, has 52.6M and 10.53 GMACs; no single unit "
            "makes the difference",
        ),
    ),
    "residual_attention_next56": Entry(
        ResidualAttentionNeXt56, 224, f"{_RAN_CODE}, AttentionNeXt-56"
    ),
    "residual_attention_next92": Entry(
        ResidualAttentionNeXt92, 224, f"{_RAN_CODE}, AttentionNeXt-92"
    ),
    "residual_attention_inception56": Entry(
        ResidualAttentionInception56, 299, f"{_RAN}; the unit's widths are ours"
    ),
}

_RESNET_224 = "He et al., CVPR 2016, table 1, with the stride in the 3x3"
_RESNETS = {
    "resnet18": Entry(ResNet18, 224, _RESNET_224),
    "resnet34": Entry(
        ResNet34, 224, _RESNET_224, published=Published(_AA, "21.8M", compute="7.4 GFLOPs")
    ),
    "resnet50": Entry(
        ResNet50, 224, _RESNET_224, published=Published(_AA, "25.6M", compute="8.2 GFLOPs")
    ),
    "resnet101": Entry(
        ResNet101, 224, _RESNET_224, published=Published(_AA, "44.5M", compute="15.6 GFLOPs")
    ),
    "resnet152": Entry(ResNet152, 224, _RESNET_224),
}
_AA_RESNETS = {
    "aa_resnet34": Entry(
        AAResNet34,
        224,
        _AA,
        published=Published(_AA, "20.7M", compute="7.1 GFLOPs", note=_PRODUCTS),
    ),
    "aa_resnet50": Entry(
        AAResNet50,
        224,
        _AA,
        published=Published(_AA, "25.8M", compute="8.3 GFLOPs", note=_PRODUCTS),
    ),
    "aa_resnet101": Entry(
        AAResNet101,
        224,
        _AA,
        published=Published(_AA, "45.4M", compute="16.1 GFLOPs", note=_PRODUCTS),
    ),
    "aa_resnet152": Entry(AAResNet152, 224, _AA, published=Published(_AA, "61.6M")),
}

_SE = "Hu et al., CVPR 2018"
_SE_CODE = "github.com/hujie-frank/SENet"
_SE_RESNETS = {
    "se_resnet18": Entry(SEResNet18, 224, f"{_SE}, on He et al., CVPR 2016"),
    "se_resnet34": Entry(SEResNet34, 224, f"{_SE}, on He et al., CVPR 2016"),
    **{
        name: Entry(
            construct,
            224,
            f"{_SE_CODE}, {prototxt}",
            published=Published("the prototxt's own", parameters),
        )
        for name, construct, prototxt, parameters in (
            ("se_resnet50", SEResNet50, "SE-ResNet-50", "28,088,024"),
            ("se_resnet101", SEResNet101, "SE-ResNet-101", "49,326,872"),
            ("se_resnet152", SEResNet152, "SE-ResNet-152", "66,821,848"),
            ("se_resnext50", SEResNeXt50, "SE-ResNeXt-50", "27,559,896"),
            ("se_resnext101", SEResNeXt101, "SE-ResNeXt-101", "48,955,416"),
            ("senet154", SENet154, "SENet-154", "115,088,984"),
        )
    },
}
_ATTENTION_CODE = "github.com/Jongchan/attention-module"
_GE_CODE = "the authors' prototxts of Gather-Excite"
_ATTENTION_RESNETS = {
    **{
        name: Entry(
            construct,
            224,
            source,
            published=Published(_ATTENTION_CODE, parameters),
        )
        for name, construct, source, parameters in (
            ("cbam_resnet18", CBAMResNet18, "Woo et al., ECCV 2018", "11,779,392"),
            ("cbam_resnet34", CBAMResNet34, "Woo et al., ECCV 2018", "21,960,468"),
            ("cbam_resnet50", CBAMResNet50, "Woo et al., ECCV 2018", "28,089,624"),
            ("cbam_resnet101", CBAMResNet101, "Woo et al., ECCV 2018", "49,330,172"),
            ("bam_resnet18", BAMResNet18, "Park et al., BMVC 2018", "11,712,503"),
            ("bam_resnet34", BAMResNet34, "Park et al., BMVC 2018", "21,820,663"),
            ("bam_resnet50", BAMResNet50, "Park et al., BMVC 2018", "25,915,099"),
            ("bam_resnet101", BAMResNet101, "Park et al., BMVC 2018", "44,907,227"),
        )
    },
    "ge_resnet50_theta_minus": Entry(
        GEResNet50,
        224,
        "Hu et al., NeurIPS 2018, theta-minus",
        {"mode": "theta_minus"},
        Published(_GE_CODE, "25,557,032"),
    ),
    "ge_resnet50_theta": Entry(
        GEResNet50,
        224,
        "Hu et al., NeurIPS 2018, theta",
        {"mode": "theta"},
        Published(_GE_CODE, "31,106,600"),
    ),
    "ge_resnet50_theta_plus": Entry(
        GEResNet50,
        224,
        "Hu et al., NeurIPS 2018, theta-plus",
        {"mode": "theta_plus"},
        Published(
            _GE_CODE,
            "33,638,616",
            note="one gathering convolution of the prototxt has a stray bias, of 1024 channels",
        ),
    ),
    "eca_resnet50": Entry(ECAResNet50, 224, "Wang et al., CVPR 2020"),
    "gc_resnet50": Entry(GCResNet50, 224, "Cao et al., ICCV workshops 2019"),
    "sk_resnet50": Entry(
        SKResNet50,
        224,
        "Li et al., CVPR 2019, SKNet-50",
        published=Published("timm, skresnext50_32x4d", "27.5M"),
    ),
}
_SHUFFLENET_CODE = "github.com/megvii-model/ShuffleNet-Series, ShuffleNetV1/README.md"
_SE_MOBILE = {
    "bn_inception": Entry(
        SEBNInception,
        224,
        f"{_SE_CODE}, SE-BN-Inception without its gates",
        {"attention": None},
    ),
    "se_bn_inception": Entry(
        SEBNInception,
        224,
        f"{_SE_CODE}, SE-BN-Inception",
        published=Published("the prototxt's own", "11,931,622"),
    ),
    "mobilenet": Entry(
        SEMobileNet,
        224,
        "Howard et al., 2017, table 1",
        {"attention": None},
        Published(_SHUFFLENET_CODE, "4.2M", compute="569 MMACs"),
    ),
    "se_mobilenet": Entry(
        SEMobileNet,
        224,
        f"{_SE}, on Howard et al., 2017",
        published=Published(_SE, "4.7M"),
    ),
    "shufflenet": Entry(
        SEShuffleNet,
        224,
        "Zhang et al., CVPR 2018, table 1",
        {"attention": None},
        Published(_SHUFFLENET_CODE, "1.9M", compute="138 MMACs"),
    ),
    "se_shufflenet": Entry(
        SEShuffleNet,
        224,
        f"{_SE}, on Zhang et al., CVPR 2018",
        published=Published(
            _SE,
            "2.4M",
            note="the paper says 1.8M without attention, too, where the authors' code has 1.87M",
        ),
    ),
}

_MNASNET_CODE = "github.com/tensorflow/tpu, models/official/mnasnet/README.md"
_MNASNET_TABLE = "its source's table counts some more: 315.2 for 1.0, where its text has 312"
_MNASNET_PUBLISHED = {
    0.75: Published(_MNASNET_CODE, "2.9M", compute="226.7 MMACs", note=_MNASNET_TABLE),
    1.0: Published(_MNASNET_CODE, "3.9M", compute="312 MMACs"),
    1.4: Published(_MNASNET_CODE, "6.1M", compute="591.5 MMACs", note=_MNASNET_TABLE),
}
_MNASNETS = {
    **{
        f"mnasnet_{width}": Entry(
            MnasNet,
            224,
            "Tan et al., CVPR 2019, as in github.com/tensorflow/tpu",
            {"width": width},
            _MNASNET_PUBLISHED.get(width),
        )
        for width in (0.75, 1.0, 1.25, 1.4)
    },
    **{
        f"aa_mnasnet_{width}": Entry(
            AAMnasNet, 224, f"{_AA}, on Tan et al., CVPR 2019", {"width": width}
        )
        for width in (0.75, 1.0, 1.25, 1.4)
    },
}

MODELS: dict[str, Entry] = {
    **_CIFAR_RESNETS,
    **_RESIDUAL_ATTENTION_CIFAR,
    **_WIDE_RESNETS,
    **_RESIDUAL_ATTENTIONS,
    **_RESNETS,
    **_AA_RESNETS,
    **_SE_RESNETS,
    **_ATTENTION_RESNETS,
    **_SE_MOBILE,
    **_MNASNETS,
}


def get_model(name: str) -> Entry:
    """Finds a network by its name.

    Args:
        name: A key of `MODELS`.

    Returns:
        Its entry, which is called as its constructor is.

    Raises:
        ValueError: If there is no such network; the message has the names nearest to it.

    Example:

    >>> get_model("se_resnet20_cifar")(classes=7).output_shape
    (None, 7)
    """
    if name not in MODELS:
        near = difflib.get_close_matches(str(name), MODELS, n=3)
        hint = f", perhaps {' or '.join(map(repr, near))}" if near else ""
        raise ValueError(
            f"`model` must be one of the networks that `keras-attn models` lists{hint}. "
            f"Received: model={name!r}"
        )
    return MODELS[name]
