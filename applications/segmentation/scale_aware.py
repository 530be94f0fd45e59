"""Segmentation at several scales, fused by attention: Chen et al., CVPR 2016."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_int, check_positive_int
from keras_attn.applications.common.backbone import image_and_features
from keras_attn.applications.segmentation.parts import (
    channels_of,
    convolved,
    of_pixels,
    scores,
)
from keras_attn.applications.segmentation.resizing import ResizeBy
from keras_attn.layers import ScaleAttention
from keras_attn.typing import Activation, Tensor

FUSED = ("probabilities", "logits")


@keras.saving.register_keras_serializable(package="keras_attn")
class ScaleSegmenter(keras.Model):
    """A functional model that segments at several scales, each of which learns from the masks.

    Its output is a dict: the fused classes as `"probabilities"`, or `"logits"` where it has no
    activation, and each scale's own. `fit` takes images and masks of class numbers; the loss that
    `compile` is given, by default sparse categorical crossentropy, is taken of each output, with
    equal weights, and metrics are of the fused ones.
    """

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The sum over the outputs of the loss of a batch."""
        default = partial(_crossentropy, from_logits="logits" in y_pred)
        loss = keras.losses.get(default if self.loss is None else self.loss)
        weight = None if sample_weight is None else ops.convert_to_tensor(sample_weight)
        total: Tensor = 0.0
        for predicted in y_pred.values():
            if weight is not None:  # (B,) or (B, H, W), beside losses (B, H, W)
                missing = range(len(weight.shape), len(predicted.shape) - 1)
                weight = ops.cast(ops.expand_dims(weight, tuple(missing)), predicted.dtype)
            if isinstance(loss, keras.losses.Loss):
                total = total + loss(y, predicted, weight)
            else:
                each = loss(y, predicted)
                total = total + ops.mean(each if weight is None else each * weight)
        return sum(self.losses, total)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Those of the fused classes."""
        [fused] = [y_pred[name] for name in FUSED if name in y_pred]
        return super().compute_metrics(x, y, fused, sample_weight)


def _crossentropy(y: Tensor, y_pred: Tensor, from_logits: bool) -> Tensor:
    """The crossentropy of each pixel, (B, H, W).

    On PyTorch, Keras 3.15's sparse one has no gradient for probabilities of pixels.
    """
    if len(y.shape) == 4 and y.shape[-1] == 1:
        y = y[..., 0]
    right = ops.one_hot(ops.cast(y, "int32"), y_pred.shape[-1], dtype=y_pred.dtype)
    return keras.losses.categorical_crossentropy(right, y_pred, from_logits=from_logits)


def ScaleAwareSegmentation(
    backbone: keras.Model,
    classes: int,
    *,
    scales: Sequence[float] = (1.0, 0.75, 0.5),
    mode: str = "attention",
    units: int = 512,
    input_shape: tuple[int | None, ...] | None = None,
    filters: int | None = None,
    dropout: float = 0.1,
    extra_supervision: bool = True,
    classifier_activation: Activation = "softmax",
    name: str = "scale_aware_segmentation",
) -> keras.Model:
    """One segmenter on the image at several sizes, fused by `ScaleAttention`.

    [Chen et al., "Attention to Scale: Scale-aware Semantic Image Segmentation", CVPR 2016](
    https://arxiv.org/abs/1511.03339). The backbone and the head of `FCN` are one model that is
    called for each scale, so that all share their weights. BatchNormalization in it sees the
    statistics of all scales, one after another: freeze it where that matters, as with pretrained
    weights. A loss of each scale beside the fused one, the paper's extra supervision, is what makes
    a third scale help.

    Args:
        backbone: See `FCN`; it must take images of any size.
        classes: Number of classes K, the ground among them.
        scales: Sizes of the image, from 1 downwards.
        mode: `"attention"`, `"average"` or `"max"`, see `ScaleAttention`.
        units: Filters of the attention's first convolution.
        input_shape: (H, W, C) of the images; by default they may have any size, as the backbone's.
        filters: Filters of the head's 3x3 convolution; by default a quarter of the features'.
        dropout: Rate before the classifier.
        extra_supervision: Whether each scale's own classes are given, too, and learn.
        classifier_activation: `"softmax"`, or `None` for logits.
        name: The model's name.

    Returns:
        A functional model from images to a dict of (B, H, W, K): `"probabilities"`, or `"logits"`
        without an activation; and with `extra_supervision` `"scale_1.0"`, `"scale_0.75"`, ... It
        is a `ScaleSegmenter`: `fit` takes images and masks. Without `extra_supervision` it is a
        plain model of one output.

    Raises:
        ValueError: If an argument is wrong, or the backbone doesn't give maps.

    Example:

    >>> backbone = keras_attn.applications.CIFARResNet(8, include_top=False)
    >>> model = keras_attn.applications.ScaleAwareSegmentation(
    ...     backbone, 4, scales=(1.0, 0.5), units=16)
    >>> model.compile("adam", metrics=[keras.metrics.MeanIoU(4, sparse_y_pred=False, name="iou")])
    >>> images, masks = np.zeros((2, 24, 40, 3)), np.zeros((2, 24, 40), "uint8")
    >>> sorted(model.fit(images, masks, verbose=0).history)
    ['iou', 'loss']
    >>> {name: tuple(y.shape) for name, y in model(images).items()}
    {'probabilities': (2, 24, 40, 4), 'scale_1.0': (2, 24, 40, 4), 'scale_0.5': (2, 24, 40, 4)}
    """
    check_int("classes", classes, "an integer of at least 2", least=2)
    sizes = [float(scale) for scale in scales]
    falls = all(a > b > 0 for a, b in zip(sizes, sizes[1:], strict=False))
    if len(sizes) < 2 or sizes[0] != 1 or not falls:
        raise ValueError(
            f"`scales` must be two or more, from 1 downwards. Received: scales={scales!r}"
        )
    first, features = image_and_features(backbone)
    own = tuple(first.shape[1:])
    shape = own if input_shape is None else tuple(input_shape)
    if sum(size is not None for size in own) > 1 or len(shape) != 3:
        raise ValueError(
            "`backbone` must take images of any size, and `input_shape` be (H, W, C). "
            f"Received: backbone of {own}, input_shape={input_shape}"
        )
    if filters is not None:
        check_positive_int("filters", filters)
    x = convolved(features, filters or max(1, channels_of(features) // 4), 3, name="head")
    x = keras.layers.Dropout(dropout, name="head_dropout")(x)
    shared = keras.Model(first, [x, scores(x, classes)], name="shared")

    image = keras.Input(shape, name="image", dtype=first.dtype)
    seen = [image if size == 1 else ResizeBy(size, name=f"image_{size}")(image) for size in sizes]
    each = [shared(x) for x in seen]
    fuse = ScaleAttention(units, mode=mode, name="scale_attention")
    fused = fuse([x for x, _ in each], [y for _, y in each])
    key = "logits" if classifier_activation is None else "probabilities"
    outputs = {key: of_pixels(fused, image, classifier_activation)}
    if not extra_supervision:
        return keras.Model(image, outputs[key], name=name)
    for size, (_, score) in zip(sizes, each, strict=True):
        named = f"scale_{size}"
        outputs[named] = of_pixels(score, image, classifier_activation, named)
    return ScaleSegmenter(image, outputs, name=name)
