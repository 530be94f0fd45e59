"""MnasNet-A1, plain or with attention (Tan et al., 2019; Bello et al., 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple, Unpack

import keras
from keras import layers

from keras_attn.applications.common.blocks import (
    channel_axis,
    depthwise_convolution,
    same_convolution,
)
from keras_attn.applications.common.construction import OF_IMAGENET, construct, level
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.kinds import (
    Attention,
    AttentionLike,
    Block,
    Placement,
    Places,
    Positions,
    one_kind,
)
from keras_attn.layers import BatchNormalization, SqueezeExcite
from keras_attn.typing import Tensor


class Stage(NamedTuple):
    """Blocks of one width; the first of them strides."""

    filters: int
    blocks: int
    kernel_size: int
    strides: int
    expansion: int
    squeeze_excite: bool = False


# The authors' mnasnet_a1 (github.com/tensorflow/tpu, models/official/mnasnet/mnasnet_models.py).
STAGES = (
    Stage(16, blocks=1, kernel_size=3, strides=1, expansion=1),
    Stage(24, blocks=2, kernel_size=3, strides=2, expansion=6),
    Stage(40, blocks=3, kernel_size=5, strides=2, expansion=3, squeeze_excite=True),
    Stage(80, blocks=4, kernel_size=3, strides=2, expansion=6),
    Stage(112, blocks=2, kernel_size=3, strides=1, expansion=6, squeeze_excite=True),
    Stage(160, blocks=3, kernel_size=5, strides=2, expansion=6, squeeze_excite=True),
    Stage(320, blocks=1, kernel_size=3, strides=1, expansion=6),
)
STEM_FILTERS = 32
HEAD_FILTERS = 1280  # whatever the width
SQUEEZE = 0.25  # bottleneck of Squeeze-and-Excitation, by the channels of the block's input
DROPOUT = 0.2

LEVELS = {2: 2, 3: 3, 5: 4}  # the last stage of each stride -> its level

# The last 13 blocks: from stage 3 on, which ends at 28x28. Values have at least one channel a head.
AUGMENTED = {
    "stages": (3, 4, 5, 6, 7),
    "kappa": 0.1,
    "upsilon": 0.05,
    "num_heads": 4,
    "min_key_dim": 20,
    "min_value_dim": 1,
    "downsample": True,
}
# Some blocks have a Squeeze-and-Excitation of their own, `stage3_block1_se`.
PLACES = Places(range(1, len(STAGES) + 1), usual={"aa": AUGMENTED}, infix="extra_")


@network(OF_IMAGENET)
def MnasNet(
    width: float = 1.0,
    *,
    attention: AttentionLike | None = None,
    stages: Sequence[int] | None = None,
    placement: Placement | None = None,
    **common: Unpack[Common],
) -> keras.Model:
    """MnasNet-A1, the baseline of `AAMnasNet`.

    [Tan et al., "MnasNet", CVPR 2019](https://arxiv.org/abs/1807.11626), as in its
    authors' code (github.com/tensorflow/tpu, `models/official/mnasnet`): widths, the padding on
    one side of strided convolutions, momentum and epsilon of BatchNormalization, dropout.

    Args:
        width: Multiplier of the filters.
        attention: As in `ResNet50`, beside the network's own Squeeze-and-Excitation; `"aa"` is
            `AAMnasNet`. What its paper has instead of a 3x3 convolution stands instead of the 1x1
            convolution that widens the block's input.
        stages: The stages (1 to 7, from the finest map on) that have attention. By default those
            of its paper, counted from the last one.
        placement: Where a block has its attention: at the end of the branch (`"standard"`),
            before the branch (`"pre"`), behind the block (`"post"`), on the shortcut
            (`"identity"`, in the blocks that have one), behind the depthwise convolution's ReLU
            (`"3x3"`), or instead of the convolution that widens (`"convolution"`, for what makes
            a map of its own; not in stage 1, which has none). By default as in its paper.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.MnasNet(0.75, include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 1280)
    """
    return _mnasnet(Attention(attention, stages, placement, places=PLACES), width, **common)


@network(OF_IMAGENET)
def AAMnasNet(
    width: float = 1.0,
    *,
    attention: Literal["aa"] | None = "aa",
    stages: Sequence[int] = (3, 4, 5, 6, 7),
    kappa: float = 0.1,
    upsilon: float = 0.05,
    num_heads: int = 4,
    min_key_dim: int = 20,
    positions: Positions = "relative",
    **common: Unpack[Common],
) -> keras.Model:
    """MnasNet-A1 whose later expansions are augmented with attention.

    [Bello et al., "Attention Augmented Convolutional Networks", ICCV 2019](
    https://arxiv.org/abs/1904.09925), on [Tan et al., "MnasNet", CVPR 2019](
    https://arxiv.org/abs/1807.11626), as in its authors' code (github.com/tensorflow/tpu,
    `models/official/mnasnet`). In the last 13 blocks the 1x1 convolution that widens the block's
    input is an `AugmentedConv2D`; in the first stage that has them, its attention pools by 2.

    What the paper leaves open is ours. The first of the 13 blocks strides behind its expansion,
    so that its attention stands on the 56x56 map, pooled to 28x28. Keys have at least 20
    dimensions a head, as in the paper's ResNets. Values have at least one channel a head; the
    stated ratio would leave none in stage 3.

    Args:
        width: Multiplier of the filters; the paper has 0.75, 1.0, 1.25 and 1.4.
        attention: `"aa"`, or `None` for `MnasNet`, which has its own Squeeze-and-Excitation.
        stages: The stages (2 to 7) with attention.
        kappa: Depth of the keys by the expansion's filters.
        upsilon: Depth of the values by the expansion's filters.
        num_heads: Number of heads.
        min_key_dim: Least depth of a key per head.
        positions: How attention knows where a pixel is: tables of `"relative"` positions,
            `"sinusoidal"` ones added to the input, `"coordinates"` appended to it, or `"none"`.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.AAMnasNet(0.75, include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 1280)
    """
    options = {
        "kappa": kappa,
        "upsilon": upsilon,
        "num_heads": num_heads,
        "min_key_dim": min_key_dim,
        "positions": positions,
    }
    asked = Attention(one_kind("aa", attention), stages, None, options, PLACES)
    return _mnasnet(asked, width, **common)


def _mnasnet(attention: Attention, width: float, **common: Unpack[Common]) -> keras.Model:
    if isinstance(width, bool) or not isinstance(width, int | float) or not width > 0:
        raise ValueError(f"`width` must be a positive number. Received: width={width!r}")
    name = f"mnasnet_{float(width)}"
    name = f"{attention.name}_{name}" if attention.name else name
    body = attention.everywhere(partial(_body, attention, width))
    return construct(body, OF_IMAGENET, name, DROPOUT, **common)


def _body(attention: Attention, width: float, x: Tensor) -> Tensor:
    """From the image (B, H, W, C) to the last map (B, H / 32, W / 32, 1280)."""
    x = same_convolution(x, _scaled(STEM_FILTERS, width), strides=2, name="stem_conv")
    x = _norm_relu(x, "stem")
    side = 112
    for number, stage in enumerate(STAGES, start=1):
        for i in range(stage.blocks):
            block = Block(number, i + 1, stage.blocks, side)
            x = _block(x, block, width, attention)
            side //= stage.strides if i == 0 else 1
        if number in LEVELS:
            x = level(x, LEVELS[number])
    x = same_convolution(x, HEAD_FILTERS, 1, name="head_conv")
    return level(_norm_relu(x, "head"), 5)


def _block(x: Tensor, block: Block, width: float, attention: Attention) -> Tensor:
    """Widens, convolves depthwise, and narrows; where it fits, plus x."""
    stage, prefix = STAGES[block.stage - 1], block.prefix
    attend = attention.within(block)
    strides = stage.strides if block.number == 1 else 1
    shortcut, channels = x, x.shape[channel_axis()]
    x = attend(x, "pre")
    if stage.expansion > 1:
        x = attend.convolution(
            x,
            same_convolution,
            partial(_norm_relu, prefix=f"{prefix}_expand"),
            filters=stage.expansion * channels,
            kernel_size=1,
            name=f"{prefix}_expand_conv",
        )
    x = depthwise_convolution(
        x, stage.kernel_size, strides=strides, padding="same", name=f"{prefix}_dw"
    )
    x = _norm_relu(x, f"{prefix}_dw")
    if stage.squeeze_excite:
        x = SqueezeExcite(bottleneck_channels=int(channels * SQUEEZE), name=f"{prefix}_se")(x)
    x = attend(x, "3x3")
    filters = _scaled(stage.filters, width)
    x = _norm(same_convolution(x, filters, 1, name=f"{prefix}_project_conv"), f"{prefix}_project")
    x = attend(x, "standard")
    if strides == 1 and x.shape[channel_axis()] == channels:
        x = layers.Add(name=f"{prefix}_add")([x, attend(shortcut, "identity")])
    return attend(x, "post")


def _scaled(filters: int, width: float) -> int:
    """`filters` times `width`, to the next multiple of 8, less than 10% down."""
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _norm(x: Tensor, prefix: str) -> Tensor:
    """BatchNormalization; the authors' momentum and epsilon aren't the residual networks'."""
    norm = BatchNormalization(axis=channel_axis(), momentum=0.99, epsilon=1e-3, name=f"{prefix}_bn")
    return norm(x)


def _norm_relu(x: Tensor, prefix: str) -> Tensor:
    return layers.Activation("relu", name=f"{prefix}_relu")(_norm(x, prefix))
