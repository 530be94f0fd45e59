"""The body of the residual networks for ImageNet, with places for attention in its blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras import layers

from keras_attn.applications.common.blocks import convolution, norm, norm_relu
from keras_attn.applications.common.construction import level
from keras_attn.layers import CeilMaxPooling2D

FILTERS = (64, 128, 256, 512)
SIDES = {1: 56, 2: 28, 3: 14, 4: 7}  # of the stages' maps, for an image of 224
PLACES = ("standard", "pre", "post", "identity", "3x3")


@dataclass(frozen=True)
class Geometry:
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


@dataclass(frozen=True)
class Variant:
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


@dataclass(frozen=True)
class Block:
    """Where a block stands in its network.

    Attributes:
        stage: Its stage, from 1 on.
        number: Which of the stage's blocks it is, from 1 on.
        of: How many there are in the stage.
    """

    stage: int
    number: int
    of: int

    @property
    def prefix(self) -> str:
        """What the names of its layers begin with."""
        return f"stage{self.stage}_block{self.number}"


class BlockAttention:
    """What stands in the blocks of a network: here nothing, in subclasses an attention."""

    def gate(self, x: Any, place: str, block: Block) -> Any:
        """Puts attention on `x`, where it stands at this place of this block.

        Args:
            x: Tensor of shape (B, H, W, C).
            place: One of `PLACES`.
            block: The block.

        Returns:
            Tensor of x's shape.
        """
        return x

    def convolution(
        self, x: Any, filters: int, *, strides: int, groups: int, block: Block, index: int
    ) -> Any:
        """The 3x3 convolution of a bottleneck, or the first of a basic block, and its ReLU.

        Args:
            x: Tensor of shape (B, H, W, C).
            filters: Channels of the output.
            strides: Strides of the convolution.
            groups: Groups of the convolution.
            block: The block.
            index: Which of the block's convolutions it is, from 1 on.

        Returns:
            Tensor of shape (B, H / strides, W / strides, filters).
        """
        x = self._convolution(
            x,
            filters,
            strides=strides,
            groups=groups,
            block=block,
            name=f"{block.prefix}_conv{index}",
        )
        return self._norm_relu(x, block, index)

    def _norm_relu(self, x: Any, block: Block, index: int) -> Any:
        return norm_relu(x, block.prefix, str(index))

    def _convolution(
        self, x: Any, filters: int, *, strides: int, groups: int, block: Block, name: str
    ) -> Any:
        """The convolution without its BatchNormalization and ReLU."""
        return convolution(x, filters, strides=strides, groups=groups, name=name)


def check_stages(stages: Sequence[int] | None) -> None:
    """Raises if `stages` holds anything but stages from 1 to 4."""
    if stages is not None and not set(stages) <= {1, 2, 3, 4}:
        raise ValueError(f"`stages` must hold stages from 1 to 4. Received: stages={stages!r}")


def check_geometry(geometry: str) -> None:
    """Raises if `geometry` isn't one of `GEOMETRIES`."""
    if geometry not in GEOMETRIES:
        listed = ", ".join(map(repr, GEOMETRIES))
        raise ValueError(f"`geometry` must be one of {listed}. Received: geometry={geometry!r}")


def residual_features(x: Any, variant: Variant, attention: BlockAttention, geometry: str) -> Any:
    """From the image (B, H, W, C) to the last map (B, H / 32, W / 32, filters)."""
    how = GEOMETRIES[geometry]
    x = _stem(x, variant, how)
    if how.pool == "ceil":
        x = CeilMaxPooling2D(3, 2, name="stem_pool")(x)
    elif how.pool == "padded":
        # Behind a ReLU, zeros around the map are as good as the -inf of a padded max pool.
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
        x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for stage, blocks in enumerate(variant.blocks, start=1):
        for i in range(blocks):
            strides = 2 if stage > 1 and i == 0 else 1
            x = _block(x, Block(stage, i + 1, blocks), strides, variant, attention, how)
        x = level(x, stage + 1)
    return x


def _stem(x: Any, variant: Variant, how: Geometry) -> Any:
    deep = how.stem or (((64, 2), (64, 1), (128, 1)) if variant.deep_stem else None)
    if deep is None:
        return norm_relu(convolution(x, 64, 7, strides=2, name="stem_conv"), "stem")
    for i, (filters, strides) in enumerate(deep, start=1):
        x = convolution(x, filters, strides=strides, name=f"stem_conv{i}")
        x = norm_relu(x, "stem", str(i))
    return x


def _block(
    x: Any, block: Block, strides: int, variant: Variant, attention: BlockAttention, how: Geometry
) -> Any:
    """relu(branch(x) + shortcut(x))."""
    filters, prefix = FILTERS[block.stage - 1], block.prefix
    shortcut = x
    if block.number == 1 and (block.stage > 1 or variant.bottleneck):
        size = variant.projection_size if strides > 1 else 1
        channels = 4 * filters if variant.bottleneck else filters
        projects_in = strides
        if how.average_projections and strides > 1:
            pool = layers.AveragePooling2D(2, strides, "same", name=f"{prefix}_projection_pool")
            shortcut, projects_in = pool(x), 1
        shortcut = convolution(
            shortcut, channels, size, strides=projects_in, name=f"{prefix}_projection"
        )
        shortcut = norm(shortcut, f"{prefix}_projection_bn")
    shortcut = attention.gate(shortcut, "identity", block)

    x = attention.gate(x, "pre", block)
    if variant.bottleneck:
        first, second = (filters * width for width in variant.widths)
        strides_first = how.strides_first and variant.caffe_strides_first
        x = convolution(
            x, first, 1, strides=strides if strides_first else 1, name=f"{prefix}_conv1"
        )
        x = norm_relu(x, prefix, "1")
        x = attention.convolution(
            x,
            second,
            strides=1 if strides_first else strides,
            groups=variant.groups,
            block=block,
            index=2,
        )
        x = attention.gate(x, "3x3", block)
        x = norm(convolution(x, 4 * filters, 1, name=f"{prefix}_conv3"), f"{prefix}_bn3")
    else:
        x = attention.convolution(x, filters, strides=strides, groups=1, block=block, index=1)
        x = norm(convolution(x, filters, name=f"{prefix}_conv2"), f"{prefix}_bn2")
        if how.relu_before_gate:
            x = layers.Activation("relu", name=f"{prefix}_branch_relu")(x)
    x = attention.gate(x, "standard", block)

    x = layers.Add(name=f"{prefix}_add")([x, shortcut])
    x = layers.Activation("relu", name=f"{prefix}_relu{3 if variant.bottleneck else 2}")(x)
    return attention.gate(x, "post", block)
