"""BN-Inception with Squeeze-and-Excitation (Ioffe and Szegedy, 2015; Hu et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple, Unpack

import keras
from keras import layers

from keras_attn.applications.common.blocks import channel_axis, convolution, norm_relu
from keras_attn.applications.common.construction import OF_IMAGENET, construct, level
from keras_attn.applications.common.network import Common, network
from keras_attn.applications.common.preprocessing import preprocess_input as preprocess_input
from keras_attn.applications.imagenet import decode_predictions as decode_predictions
from keras_attn.kinds import Attention, Block, Places, one_kind
from keras_attn.layers import CeilMaxPooling2D
from keras_attn.typing import Tensor


class Module(NamedTuple):
    """Filters of an Inception module: of each branch, and of what reduces its input.

    A module without `single` and `projection` strides: its pool's branch has no convolution.
    """

    reduce: int
    triple: int  # the 3x3
    double_reduce: int
    double: int  # both of the two 3x3
    single: int = 0  # the 1x1
    projection: int = 0
    pool: str = "average"

    @property
    def strides(self) -> int:
        """2 where the module ends a stage."""
        return 1 if self.projection else 2


# Inception 3a to 3c, 4a to 4e, 5a and 5b of the authors' SE-BN-Inception.prototxt.
STAGES = {
    3: (
        Module(single=64, reduce=64, triple=64, double_reduce=64, double=96, projection=32),
        Module(single=64, reduce=64, triple=96, double_reduce=64, double=96, projection=64),
        Module(reduce=128, triple=160, double_reduce=64, double=96, pool="max"),
    ),
    4: (
        Module(single=224, reduce=64, triple=96, double_reduce=96, double=128, projection=128),
        Module(single=192, reduce=96, triple=128, double_reduce=96, double=128, projection=128),
        Module(single=160, reduce=128, triple=160, double_reduce=128, double=160, projection=128),
        Module(single=96, reduce=128, triple=192, double_reduce=160, double=192, projection=128),
        Module(reduce=128, triple=192, double_reduce=192, double=256, pool="max"),
    ),
    5: (
        Module(single=352, reduce=192, triple=320, double_reduce=160, double=224, projection=128),
        Module(
            single=352,
            reduce=192,
            triple=320,
            double_reduce=192,
            double=224,
            projection=128,
            pool="max",
        ),
    ),
}
PLACES = Places(tuple(STAGES), ["post"])


@network(OF_IMAGENET)
def SEBNInception(
    *,
    attention: Literal["se"] | None = "se",
    stages: Sequence[int] | None = None,
    ratio: int = 16,
    **common: Unpack[Common],
) -> keras.Model:
    """BN-Inception with a `SqueezeExcite` on the output of each of its ten modules.

    [Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018](https://arxiv.org/abs/1709.01507),
    as in the authors' prototxt (github.com/hujie-frank/SENet, `models/SE-BN-Inception.prototxt`):
    convolutions without biases, Squeeze-and-Excitation with them, Caffe's pools without padding in
    the stem, average pools that count their padding in the modules. It has 11,931,622 trainable
    parameters, as the prototxt. The authors' preprocessing is another than `include_preprocessing`
    here: BGR, less the means 104, 117 and 123.

    On maps of odd sides Caffe's pools and convolutions of stride 2 differ in size, so that the
    prototxt takes no such images. The pools of modules 3c and 4e follow the convolutions' size
    here; on even sides they equal Caffe's.

    Args:
        attention: `"se"`, or `None` for BN-Inception.
        stages: The stages (3 to 5) with attention; by default all.
        ratio: Reduction of the `SqueezeExcite`s.
        **common: See `Common`.

    Returns:
        A functional `keras.Model`. By default the input is (B, 224, 224, 3), the output (B, 1000).

    Raises:
        ValueError: Where an argument is wrong, or the weights are another network's.

    Example:

    >>> model = keras_attn.applications.SEBNInception(include_top=False, pooling="avg")
    >>> model.output_shape
    (None, 1024)
    """
    asked = Attention(one_kind("se", attention), stages, "post", {"ratio": ratio}, PLACES)
    name = "se_bn_inception" if attention else "bn_inception"
    return construct(asked.everywhere(partial(_body, asked)), OF_IMAGENET, name, **common)


def _body(attention: Attention, x: Tensor) -> Tensor:
    """From the image (B, H, W, C) to the last map (B, H / 32, W / 32, 1024)."""
    x = _conv(x, 64, 7, "stem1", strides=2)
    x = CeilMaxPooling2D(name="stem1_pool")(x)
    x = _conv(_conv(x, 64, 1, "stem2_reduce"), 192, 3, "stem2")
    x = level(x, 2)
    x = CeilMaxPooling2D(name="stem2_pool")(x)
    for stage, modules in STAGES.items():
        for i, module in enumerate(modules):
            if module.strides == 2:
                x = level(x, stage)
            block = Block(stage, i + 1, len(modules))
            x = attention.within(block)(_inception(x, module, block.prefix), "post")
    return level(x, 5)


def _inception(x: Tensor, module: Module, prefix: str) -> Tensor:
    """The module's branches beside each other."""
    branches = []
    if module.single:
        branches.append(_conv(x, module.single, 1, f"{prefix}_single"))
    triple = _conv(x, module.reduce, 1, f"{prefix}_triple_reduce")
    branches.append(_conv(triple, module.triple, 3, f"{prefix}_triple", module.strides))
    double = _conv(x, module.double_reduce, 1, f"{prefix}_double_reduce")
    double = _conv(double, module.double, 3, f"{prefix}_double1")
    branches.append(_conv(double, module.double, 3, f"{prefix}_double2", module.strides))
    pooled = _pool(x, module, prefix)
    if module.projection:
        pooled = _conv(pooled, module.projection, 1, f"{prefix}_projection")
    branches.append(pooled)
    return layers.Concatenate(channel_axis(), name=f"{prefix}_concat")(branches)


def _conv(x: Tensor, filters: int, size: int, prefix: str, strides: int = 1) -> Tensor:
    x = convolution(x, filters, size, strides=strides, name=f"{prefix}_conv")
    return norm_relu(x, prefix)


def _pool(x: Tensor, module: Module, prefix: str) -> Tensor:
    if module.pool == "max":
        return layers.MaxPooling2D(3, module.strides, "same", name=f"{prefix}_pool")(x)
    x = layers.ZeroPadding2D(1, name=f"{prefix}_pool_pad")(x)
    return layers.AveragePooling2D(3, 1, name=f"{prefix}_pool")(x)
