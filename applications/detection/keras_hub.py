"""KerasHub's RetinaNet as a network from images to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.applications.common.backbone import known_shape
from keras_attn.applications.detection.detector import Detector
from keras_attn.layers import BoxDecoder

OUTPUTS = ("bbox_regression", "cls_logits")


def is_keras_hubs(model: Any) -> bool:
    """Whether a model is a detector whose outputs are those of KerasHub's RetinaNet."""
    output = getattr(model, "output", None) if hasattr(model, "anchor_generator") else None
    return isinstance(output, dict) and set(OUTPUTS) == set(output)


def detector_of(
    model: keras.Model,
    *,
    input_shape: tuple[int, int, int] | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_boxes: int | None = None,
    class_names: Sequence[str] | None = None,
    name: str = "detector",
) -> Detector:
    """KerasHub's RetinaNet as a network that can be exported, with the same weights.

    It shares the layers of `model`: what trains further, trains both. The boxes are those that the
    model's own `predict` gives, in the form of COCO. It takes images as the model's `fit` does:
    what the model's preprocessor does to them isn't part of it.

    Args:
        model: `keras_hub.models.RetinaNetObjectDetector`, such as one with a network of ours for
            `image_encoder`.
        input_shape: (H, W, C), where the model takes any size.
        score_threshold: See `BoxDecoder`, as for `iou_threshold` and `max_boxes`; by default those
            of the model's `prediction_decoder`.
        iou_threshold: The greatest part of their union that two boxes may share.
        max_boxes: The most boxes that are told of an image.
        class_names: Names of the classes.
        name: The network's name.

    Returns:
        The network from images to boxes.

    Raises:
        ValueError: If the model is another, or a size isn't known.

    Example:
    ```python
    backbone = keras_hub.models.RetinaNetBackbone(
        keras_attn.applications.ResNet18(include_top=False), 3, 5, False, image_shape=(96, 96, 3))
    model = keras_hub.models.RetinaNetObjectDetector(backbone, 3, "xywh")
    names = ["disk", "square", "triangle"]
    detector = keras_attn.applications.detector_of(model, class_names=names)
    keras_attn.export.export_saved_model(detector, "served/shapes")
    ```
    """
    if not is_keras_hubs(model):
        raise ValueError(
            "`model` must be a RetinaNetObjectDetector of KerasHub. Received: model of "
            f"{type(model).__name__}"
        )
    shape = known_shape("the model", tuple(model.inputs[0].shape[1:]), input_shape)
    told: Any = model.prediction_decoder
    decoder = BoxDecoder(
        told.confidence_threshold if score_threshold is None else score_threshold,
        told.iou_threshold if iou_threshold is None else iou_threshold,
        told.max_detections if max_boxes is None else max_boxes,
        name="boxes",
    )
    image = keras.Input(shape, name="image")
    said = model(image)  # as a whole: KerasHub's heads can't be loaded one by one
    boxes = decoder(*(said[each] for each in OUTPUTS))
    decoder.anchors.assign(anchors_of(model, shape))
    return Detector(image, boxes, class_names=class_names, name=name)


def anchors_of(model: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The anchors of an image of a shape, (N, 4): left, top, right, bottom."""
    generator = model.anchor_generator
    by_level = generator(ops.zeros((1, *shape)))
    anchors = np.concatenate([ops.convert_to_numpy(each) for each in by_level.values()])
    return np.asarray(
        ops.convert_to_numpy(
            keras.utils.bounding_boxes.convert_format(
                ops.convert_to_tensor(anchors),
                source=generator.bounding_box_format,
                target="xyxy",
                height=shape[0],
                width=shape[1],
            )
        )
    )
