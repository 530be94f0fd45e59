"""The residual networks for ImageNet, with places for attention in their blocks."""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple, TypeAlias, Unpack, get_args

import keras
from keras import layers

from keras_attn._checks import check_one_of
from keras_attn.applications.common.blocks import convolution, norm, norm_relu, padded_max_pool
from keras_attn.applications.common.construction import OF_IMAGENET, construct, level
from keras_attn.applications.common.network import Common
from keras_attn.kinds import PLACEMENTS, Attention, Block, Places
from keras_attn.layers import CeilMaxPooling2D
from keras_attn.typing import Tensor

FILTERS = (64, 128, 256, 512)
STRIDES = (1, 2, 2, 2)  # of the stages' first blocks, behind a stem of stride 4
OutputStride: TypeAlias = Literal[8, 16, 32]

# In the first stage that has them, augmented convolutions attend on half the sides.
USUAL = {"aa": {"downsample": True}}
IN_BOTTLENECKS = Places(usual=USUAL)
# Their blocks have two 3x3 convolutions.
IN_BASIC_BLOCKS = Places(placements=[x for x in PLACEMENTS if x != "3x3"], usual=USUAL)

GeometryName: TypeAlias = Literal[
    "caffe", "torchvision", "keras", "legacy", "resnet_d", "resnet_t", "tiered"
]


class Geometry(NamedTuple):
    """Where a residual network strides, pools and projects: what its weights were trained in.

    Attributes:
        pool: The stem's 3x3 max pool: `"ceil"` has no padding and a last window that may hang
            over the edge, `"padded"` has padding of 1, `None` is no pool.
        strides_first: Whether a bottleneck strides in its first 1x1 convolution, if the authors'
            Caffe file does.
        stem: Filters and strides of the stem's 3x3 convolutions; `None` is the variant's own stem.
        average_projections: Whether a 2x2 average pool strides before a projection.
        relu_before_gate: Whether the branch of a basic block ends in a ReLU before its gate.
    """

    pool: str | None = "padded"
    strides_first: bool = False
    stem: tuple[tuple[int, int], ...] | None = None
    average_projections: bool = False
    relu_before_gate: bool = False


GEOMETRIES = {
    "caffe": Geometry("ceil", strides_first=True),
    "torchvision": Geometry(),
    # keras.applications and image-classifiers.
    "keras": Geometry(strides_first=True),
    # The basic blocks of timm's legacy_seresnet18 and 34; with bottlenecks it is "caffe".
    "legacy": Geometry("ceil", strides_first=True, relu_before_gate=True),
    # He et al., "Bag of Tricks", CVPR 2019, and timm's further step, the tiered stem.
    "resnet_d": Geometry(stem=((32, 2), (32, 1), (64, 1)), average_projections=True),
    "resnet_t": Geometry(stem=((24, 2), (32, 1), (64, 1)), average_projections=True),
    # timm's gcresnet50t, which has no pool.
    "tiered": Geometry(None, stem=((24, 2), (32, 1), (64, 2))),
}


class Variant(NamedTuple):
    """One residual network.

    Attributes:
        name: Its name without attention.
        blocks: Blocks of each stage.
        bottleneck: Whether a block is 1x1-3x3-1x1 with 4 times the filters, or 3x3-3x3.
        widths: Channels of a bottleneck's first two convolutions, in multiples of the filters.
        groups: Groups of a bottleneck's 3x3 convolution.
        caffe_strides_first: Whether the authors' Caffe file has the stride in a bottleneck's
            first 1x1 convolution; otherwise it is in the 3x3 there, too.
        deep_stem: Whether the stem is three 3x3 convolutions instead of one 7x7.
        projection_size: Kernel size of the projections that stride.
        dropout: Rate before the classifier.
    """

    name: str
    blocks: tuple[int, int, int, int]
    bottleneck: bool = True
    widths: tuple[int, int] = (1, 1)
    groups: int = 1
    caffe_strides_first: bool = True
    deep_stem: bool = False
    projection_size: int = 1
    dropout: float = 0.0


# He et al., CVPR 2016, table 1.
RESNETS = {
    18: Variant("resnet18", (2, 2, 2, 2), bottleneck=False),
    34: Variant("resnet34", (3, 4, 6, 3), bottleneck=False),
    50: Variant("resnet50", (3, 4, 6, 3)),
    101: Variant("resnet101", (3, 4, 23, 3)),
    152: Variant("resnet152", (3, 8, 36, 3)),
}
# The prototxts of Hu et al. (github.com/hujie-frank/SENet): all have the stride in the 3x3.
RESNEXTS = {
    50: Variant("resnext50", (3, 4, 6, 3), widths=(2, 2), groups=32, caffe_strides_first=False),
    101: Variant("resnext101", (3, 4, 23, 3), widths=(2, 2), groups=32, caffe_strides_first=False),
}
SENETS = {
    154: Variant(
        "senet154",
        (3, 8, 36, 3),
        widths=(2, 4),
        groups=64,
        caffe_strides_first=False,
        deep_stem=True,
        projection_size=3,
        dropout=0.2,
    )
}


class Steps(NamedTuple):
    """How a block moves over its map: it strides, or dilates what comes behind instead.

    Attributes:
        strides: Those that the block has in the network whose output stride is 32.
        dilates: Whether it dilates instead.
        dilation: How far apart the map's places are that were neighbours with those strides.
    """

    strides: int = 1
    dilates: bool = False
    dilation: int = 1

    @property
    def taken(self) -> int:
        """The strides that it has here."""
        return 1 if self.dilates else self.strides

    @property
    def later(self) -> int:
        """The dilation of what comes behind its strides."""
        return self.dilation * (self.strides if self.dilates else 1)


def residual_network(
    variant: Variant,
    attention: Attention,
    geometry: str,
    default_name: str | None = None,
    *,
    output_stride: int = 32,
    **common: Unpack[Common],
) -> keras.Model:
    """A residual network with attention in its blocks.

    Args:
        variant: The network.
        attention: The attention in its blocks.
        geometry: A key of `GEOMETRIES`.
        default_name: Name of the model where the user gave none; by default the variant's, with
            that of the attention.
        output_stride: 8, 16 or 32: pixels of the image between two places of the last map. Below
            32 the last stages dilate instead of striding: the weights are the same, and where
            convolutions alone look beyond a place, each place gives what it does with 32.
        **common: See `Common`.

    Returns:
        A functional model.
    """
    check_one_of("geometry", geometry, GEOMETRIES)
    check_one_of("output_stride", output_stride, get_args(OutputStride))
    if default_name is None:
        default_name = f"{attention.name}_{variant.name}" if attention.name else variant.name
    body = attention.everywhere(
        partial(_body, variant, attention, GEOMETRIES[geometry], output_stride)
    )
    return construct(body, OF_IMAGENET, default_name, variant.dropout, **common)


def places_of(variant: Variant) -> Places:
    """Where the network's blocks have room for attention."""
    return IN_BOTTLENECKS if variant.bottleneck else IN_BASIC_BLOCKS


def _body(
    variant: Variant, attention: Attention, how: Geometry, output_stride: int, x: Tensor
) -> Tensor:
    """From the image (B, H, W, C) to the last map (B, H / output_stride, ..., filters)."""
    deep = how.stem or (((64, 2), (64, 1), (128, 1)) if variant.deep_stem else None)
    if deep is None:
        x = norm_relu(convolution(x, 64, 7, strides=2, name="stem_conv"), "stem")
    for i, (filters, strides) in enumerate(deep or (), start=1):
        x = convolution(x, filters, strides=strides, name=f"stem_conv{i}")
        x = norm_relu(x, "stem", str(i))
    if how.pool == "ceil":
        x = CeilMaxPooling2D(3, 2, name="stem_pool")(x)
    elif how.pool == "padded":
        x = padded_max_pool(x, "stem_pool")
    stride, dilation = 4, 1
    for stage, (blocks, strides) in enumerate(zip(variant.blocks, STRIDES, strict=True), start=1):
        steps = Steps(strides, stride * strides > output_stride, dilation)
        stride, dilation = stride * steps.taken, steps.later
        for i in range(blocks):
            block = Block(stage, i + 1, blocks, OF_IMAGENET.size // stride)
            x = _block(
                x, block, steps if i == 0 else Steps(1, False, dilation), variant, attention, how
            )
        if stage == len(STRIDES) or stride * STRIDES[stage] <= output_stride:
            x = level(x, stride.bit_length() - 1)
    return x


def _block(
    x: Tensor, block: Block, steps: Steps, variant: Variant, attention: Attention, how: Geometry
) -> Tensor:
    """relu(branch(x) + shortcut(x))."""
    filters, prefix = FILTERS[block.stage - 1], block.prefix
    attend = attention.within(block)
    strides_first = variant.bottleneck and how.strides_first and variant.caffe_strides_first
    dilation = steps.later if strides_first else steps.dilation
    if dilation > 1 and attend.placement == "convolution":
        raise ValueError(
            "`output_stride` must be 32 where attention stands instead of convolutions that would "
            f"be dilated. Received: attention={attend.attention!r} in stage {block.stage}"
        )
    shortcut = x
    if block.number == 1 and (block.stage > 1 or variant.bottleneck):
        shortcut = _projection(x, block, steps, variant, how)
    shortcut = attend(shortcut, "identity")

    x = attend(x, "pre")
    if variant.bottleneck:
        first, second = (filters * width for width in variant.widths)
        x = convolution(
            x, first, 1, strides=steps.taken if strides_first else 1, name=f"{prefix}_conv1"
        )
        x = norm_relu(x, prefix, "1")
        x = attend.convolution(
            x,
            partial(convolution, groups=variant.groups, dilation=dilation),
            partial(norm_relu, prefix=prefix, suffix="2"),
            filters=second,
            strides=1 if strides_first else steps.taken,
            groups=variant.groups,
            name=f"{prefix}_conv2",
        )
        x = attend(x, "3x3")
        x = norm(convolution(x, 4 * filters, 1, name=f"{prefix}_conv3"), f"{prefix}_bn3")
    else:
        x = attend.convolution(
            x,
            partial(convolution, dilation=dilation),
            partial(norm_relu, prefix=prefix, suffix="1"),
            filters=filters,
            strides=steps.taken,
            name=f"{prefix}_conv1",
        )
        x = convolution(x, filters, dilation=steps.later, name=f"{prefix}_conv2")
        x = norm(x, f"{prefix}_bn2")
        if how.relu_before_gate:
            x = layers.Activation("relu", name=f"{prefix}_branch_relu")(x)
    x = attend(x, "standard")

    x = layers.Add(name=f"{prefix}_add")([x, shortcut])
    x = layers.Activation("relu", name=f"{prefix}_relu{3 if variant.bottleneck else 2}")(x)
    return attend(x, "post")


def _projection(x: Tensor, block: Block, steps: Steps, variant: Variant, how: Geometry) -> Tensor:
    """The shortcut of a block that changes the map's shape.

    A pool that doesn't stride takes the mean over neighbours, as in timm's dilated networks.
    """
    filters, prefix = FILTERS[block.stage - 1], block.prefix
    size = variant.projection_size if steps.strides > 1 else 1
    strides = steps.taken
    if how.average_projections and steps.strides > 1:
        pool = layers.AveragePooling2D(2, strides, "same", name=f"{prefix}_projection_pool")
        x, strides = pool(x), 1
    channels = 4 * filters if variant.bottleneck else filters
    name = f"{prefix}_projection"
    x = convolution(x, channels, size, strides=strides, dilation=steps.dilation, name=name)
    return norm(x, f"{name}_bn")
