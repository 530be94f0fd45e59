"""DANet's head (Fu et al., CVPR 2019): attention to places and to channels, side by side."""

from __future__ import annotations

import keras

from keras_attn._checks import check_int, check_positive_int
from keras_attn.applications.common.backbone import image_and_features
from keras_attn.applications.segmentation.parts import (
    channels_of,
    convolved,
    of_pixels,
    scores,
)
from keras_attn.layers import ChannelAttention, PositionAttention
from keras_attn.typing import Activation


def DANet(
    backbone: keras.Model,
    classes: int,
    *,
    filters: int | None = None,
    ratio: int = 8,
    dropout: float = 0.1,
    classifier_activation: Activation = "softmax",
    name: str = "danet",
) -> keras.Model:
    """A network's last map as classes of pixels, by `PositionAttention` and `ChannelAttention`.

    [Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019](
    https://arxiv.org/abs/1809.02983): two branches, each a convolution 3x3, an attention and
    another convolution 3x3, are added and classified. As `FCN` otherwise. The paper's two further
    losses, of each branch alone, are left out.

    Args:
        backbone: See `FCN`; the paper's has `output_stride=8`.
        classes: Number of classes K, the ground among them.
        filters: Filters of the branches; by default a quarter of the features'.
        ratio: Reduction r of the position attention: queries and keys have `C // r` channels.
        dropout: Rate before the classifier.
        classifier_activation: See `FCN`.
        name: The model's name.

    Returns:
        A functional model from images to (B, H, W, K).

    Raises:
        ValueError: If an argument is wrong, or the backbone doesn't give maps.

    Example:

    >>> backbone = keras_attn.applications.CIFARResNet(8, include_top=False)
    >>> model = keras_attn.applications.DANet(backbone, 4)
    >>> maps = keras_attn.explain.attention_maps(model, np.zeros((1, 24, 40, 3)))
    >>> {name: attention.shape for name, attention in maps.items()}
    {'position_attention': (1, 1, 60, 60), 'channel_attention': (1, 16, 16)}
    """
    check_int("classes", classes, "an integer of at least 2", least=2)
    image, x = image_and_features(backbone)
    if filters is not None:
        check_positive_int("filters", filters)
    filters = filters or max(1, channels_of(x) // 4)
    branches = []
    for branch, attention in (
        ("position", PositionAttention(ratio, name="position_attention")),
        ("channel", ChannelAttention(name="channel_attention")),
    ):
        attended = attention(convolved(x, filters, 3, name=f"{branch}_before"))
        branches.append(convolved(attended, filters, 3, name=f"{branch}_behind"))
    x = keras.layers.Add(name="head_add")(branches)
    x = keras.layers.Dropout(dropout, name="head_dropout")(x)
    y = of_pixels(scores(x, classes), image, classifier_activation)
    return keras.Model(image, y, name=name)
