"""DeepLab's head (Chen et al., 2017): a place sees its surroundings at several distances."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from keras_attn._checks import check_int, check_positive_int
from keras_attn.applications.common.backbone import image_and_features
from keras_attn.applications.common.blocks import channel_axis
from keras_attn.applications.segmentation.parts import (
    convolved,
    of_pixels,
    scores,
)
from keras_attn.applications.segmentation.resizing import ResizeLike
from keras_attn.typing import Activation


def DeepLabV3(
    backbone: keras.Model,
    classes: int,
    *,
    rates: Sequence[int] = (6, 12, 18),
    filters: int = 256,
    dropout: float = 0.1,
    classifier_activation: Activation = "softmax",
    name: str = "deeplab_v3",
) -> keras.Model:
    """A network's last map as classes of pixels, by atrous spatial pyramid pooling.

    [Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017](
    https://arxiv.org/abs/1706.05587): a convolution 1x1, dilated ones 3x3 and the mean of the whole
    map, side by side, each with BatchNormalization and ReLU; then one more 1x1, dropout and the
    classifier. As `FCN` otherwise. The mean's BatchNormalization needs more than one image in
    training.

    Args:
        backbone: See `FCN`; the paper's has `output_stride=16`, or 8.
        classes: Number of classes K, the ground among them.
        rates: Dilations of the 3x3 convolutions; the paper has (6, 12, 18) at an output stride of
            16, and twice that at 8, for images of 513.
        filters: Filters of each.
        dropout: Rate before the classifier.
        classifier_activation: See `FCN`.
        name: The model's name.

    Returns:
        A functional model from images to (B, H, W, K).

    Raises:
        ValueError: If an argument is wrong, or the backbone doesn't give maps.

    Example:

    >>> backbone = keras_attn.applications.CIFARResNet(8, include_top=False)
    >>> model = keras_attn.applications.DeepLabV3(backbone, 4, rates=(2, 4), filters=16)
    >>> model(np.zeros((1, 24, 40, 3))).shape
    TensorShape([1, 24, 40, 4])
    """
    check_int("classes", classes, "an integer of at least 2", least=2)
    check_positive_int("filters", filters)
    if isinstance(rates, int) or not rates:
        raise ValueError(f"`rates` must be a sequence of dilations. Received: rates={rates!r}")
    image, x = image_and_features(backbone)
    branches = [convolved(x, filters, 1, name="aspp_1x1")]
    for rate in rates:
        check_positive_int("rates", rate)
        branches.append(convolved(x, filters, 3, dilation=rate, name=f"aspp_rate{rate}"))
    mean = keras.layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)
    mean = convolved(mean, filters, 1, name="aspp_pool")
    branches.append(ResizeLike(name="aspp_everywhere")(mean, x))
    x = keras.layers.Concatenate(axis=channel_axis(), name="aspp")(branches)
    x = convolved(x, filters, 1, name="head")
    x = keras.layers.Dropout(dropout, name="head_dropout")(x)
    y = of_pixels(scores(x, classes), image, classifier_activation)
    return keras.Model(image, y, name=name)
