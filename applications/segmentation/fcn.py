"""The plain head of segmentation: Long et al., CVPR 2015, on one map."""

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
from keras_attn.typing import Activation


def FCN(
    backbone: keras.Model,
    classes: int,
    *,
    filters: int | None = None,
    dropout: float = 0.1,
    classifier_activation: Activation = "softmax",
    name: str = "fcn",
) -> keras.Model:
    """A network's last map as classes of pixels, by a 3x3 convolution and a 1x1.

    [Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015](
    https://arxiv.org/abs/1411.4038), without the paper's skips, in the form that is usual since:
    convolution 3x3, BatchNormalization, ReLU, dropout, convolution 1x1, bilinear resizing to the
    image. It trains by plain `fit` on masks of class numbers. The graph goes on from that of the
    backbone, whose layers it shares: training it trains the backbone.

    Args:
        backbone: Functional model from images (B, H, W, C) to features (B, h, w, C'), without a
            classifier: ours and those of keras.applications with `include_top=False`. Of
            `pyramid_outputs` the last level is taken. `output_stride=8` of our residual networks
            gives finer maps.
        classes: Number of classes K, the ground among them.
        filters: Filters of the 3x3 convolution; by default a quarter of the features'.
        dropout: Rate before the classifier.
        classifier_activation: `"softmax"`, or `None` for logits, with
            `SparseCategoricalCrossentropy(from_logits=True)`: on PyTorch, Keras 3.15 has no
            gradient of that loss for probabilities of pixels.
        name: The model's name.

    Returns:
        A functional model from images to (B, H, W, K).

    Raises:
        ValueError: If an argument is wrong, or the backbone doesn't give maps.

    Example:

    >>> backbone = keras_attn.applications.CIFARResNet(8, include_top=False)
    >>> model = keras_attn.applications.FCN(backbone, 4)
    >>> model.compile("adam", "sparse_categorical_crossentropy",
    ...     metrics=[keras.metrics.MeanIoU(4, sparse_y_pred=False)])
    >>> images, masks = np.zeros((2, 24, 40, 3)), np.zeros((2, 24, 40), "uint8")
    >>> history = model.fit(images, masks, verbose=0)
    >>> model(images).shape
    TensorShape([2, 24, 40, 4])
    """
    check_int("classes", classes, "an integer of at least 2", least=2)
    image, x = image_and_features(backbone)
    if filters is not None:
        check_positive_int("filters", filters)
    x = convolved(x, filters or max(1, channels_of(x) // 4), 3, name="head")
    x = keras.layers.Dropout(dropout, name="head_dropout")(x)
    y = of_pixels(scores(x, classes), image, classifier_activation)
    return keras.Model(image, y, name=name)
