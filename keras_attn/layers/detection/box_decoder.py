"""The end of a detector such as RetinaNet (ICCV 2017): boxes, and which of them are told."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers.detection.suppression import first_of_their_place
from keras_attn.typing import Shape, Tensor

CANDIDATES = 1000


@keras.saving.register_keras_serializable(package="keras_attn")
class BoxDecoder(keras.layers.Layer):
    """Makes boxes of how far a detector says that objects are from its anchors.

    As in Faster R-CNN ([Ren et al., NIPS 2015](https://arxiv.org/abs/1506.01497)) and [RetinaNet
    (Lin et al., ICCV 2017)](https://arxiv.org/abs/1708.02002): with an anchor's centre (a_x, a_y)
    and sides (a_w, a_h), what is said (d_x, d_y, d_w, d_h) means

        (a_x + a_w d_x, a_y + a_h d_y) for the centre and (a_w exp(d_w), a_h exp(d_h)) for the sides

    and a class's probability is the sigmoid of its logit. Boxes have the form of COCO: left, top,
    width, height, in pixels of the image that the network is given.

    The anchors are a weight that isn't trained: `decoder.anchors.assign(...)`, (N, 4), left, top,
    right, bottom. `select` tells the boxes that don't stand for the same object.

    Args:
        score_threshold: The least probability of a box that is told.
        iou_threshold: The greatest part of their union that two boxes may share; of two that share
            more only the likelier one is told, whatever their classes.
        max_boxes: The most boxes that are told of an image.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        (B, N, 4), what is said of N anchors; and (B, N, K), the logits of K classes.

    Output shape:
        A dict: `"boxes"` (B, N, 4) and `"probabilities"` (B, N, K), float32 or wider.

    Raises:
        ValueError: If an argument isn't as said above, or the inputs have other shapes.

    Example:

    >>> decoder = keras_attn.layers.BoxDecoder()
    >>> found = decoder(np.zeros((2, 6, 4), "float32"), np.zeros((2, 6, 3), "float32"))
    >>> {name: tuple(x.shape) for name, x in found.items()}
    {'boxes': (2, 6, 4), 'probabilities': (2, 6, 3)}
    >>> {name: tuple(x.shape) for name, x in decoder.select(found).items()}
    {'boxes': (2, 100, 4), 'scores': (2, 100), 'classes': (2, 100)}
    """

    def __init__(
        self,
        score_threshold: float = 0.5,
        iou_threshold: float = 0.5,
        max_boxes: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        for name, value in (("score_threshold", score_threshold), ("iou_threshold", iou_threshold)):
            if not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be from 0 to 1. Received: {name}={value!r}")
        self.score_threshold = float(score_threshold)
        self.iou_threshold = float(iou_threshold)
        self.max_boxes = check_positive_int("max_boxes", max_boxes)

    def build(self, deltas_shape: Shape, logits_shape: Shape) -> None:
        """Makes the anchors, all 0."""
        self.compute_output_shape(deltas_shape, logits_shape)
        self.anchors = self.add_weight(
            name="anchors",
            shape=(int(deltas_shape[1] or 0), 4),
            dtype=self.boxes_dtype,
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def call(self, deltas: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """Decodes."""
        deltas, logits = (ops.cast(x, self.boxes_dtype) for x in (deltas, logits))
        boxes = decoded(ops.convert_to_tensor(self.anchors), deltas)
        return {"boxes": boxes, "probabilities": ops.sigmoid(logits)}

    def select(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """The boxes that are told of each image, the likeliest first.

        Of more than a thousand likely ones an image, the rest isn't looked at.

        Args:
            found: What the layer gives.

        Returns:
            With M = `max_boxes`: `"boxes"` (B, M, 4), `"scores"` (B, M), and `"classes"` (B, M),
            int32. Where there are fewer, box and score are 0 and the class is -1.
        """
        best = ops.max(found["probabilities"], axis=-1)  # (B, N)
        labels = ops.cast(ops.argmax(found["probabilities"], axis=-1), "int32")
        scores, places = ops.top_k(best, min(CANDIDATES, int(best.shape[1])))
        boxes = ops.take_along_axis(found["boxes"], places[..., None], axis=1)
        labels = ops.take_along_axis(labels, places, axis=1)
        scores = ops.where(scores > self.score_threshold, scores, 0.0)
        order, is_one = first_of_their_place(boxes, scores, self.max_boxes, self.iou_threshold)
        counts = ops.cast(is_one, scores.dtype)
        return {
            "boxes": ops.take_along_axis(boxes, order[..., None], axis=1) * counts[..., None],
            "scores": ops.take_along_axis(scores, order, axis=1) * counts,
            "classes": ops.where(is_one, ops.take_along_axis(labels, order, axis=1), -1),
        }

    def compute_output_spec(
        self, deltas: keras.KerasTensor, logits: keras.KerasTensor
    ) -> dict[str, keras.KerasTensor]:
        """The symbolic outputs."""
        shapes = self.compute_output_shape(deltas.shape, logits.shape)
        return {name: keras.KerasTensor(shape, self.boxes_dtype) for name, shape in shapes.items()}

    def compute_output_shape(self, deltas_shape: Shape, logits_shape: Shape) -> dict[str, Shape]:
        """Those of the dict."""
        deltas_shape, logits_shape = tuple(deltas_shape), tuple(logits_shape)
        ranks = len(deltas_shape), len(logits_shape)
        if ranks != (3, 3) or deltas_shape[1:] != (logits_shape[1], 4) or None in logits_shape[1:]:
            raise ValueError(
                "`deltas` must be (B, N, 4) and `logits` (B, N, K), N and K known. "
                f"Received: shapes {deltas_shape} and {logits_shape}"
            )
        return {"boxes": deltas_shape, "probabilities": logits_shape}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "score_threshold": self.score_threshold,
            "iou_threshold": self.iou_threshold,
            "max_boxes": self.max_boxes,
        }

    @property
    def boxes_dtype(self) -> str:
        """Of all that is computed: float32, or wider."""
        return str(keras.backend.result_type(self.compute_dtype, "float32"))


def decoded(anchors: Tensor, deltas: Tensor) -> Tensor:
    """Boxes of how far they are from anchors.

    Args:
        anchors: (N, 4): left, top, right, bottom.
        deltas: (B, N, 4): centre x, centre y, width, height.

    Returns:
        (B, N, 4): left, top, width, height.
    """
    sides = anchors[:, 2:] - anchors[:, :2]
    centres = anchors[:, :2] + sides / 2 + sides * deltas[..., :2]
    found = sides * ops.exp(deltas[..., 2:])
    return ops.concatenate([centres - found / 2, found], axis=-1)


def as_arrays(found: dict[str, Any]) -> list[dict[str, np.ndarray[Any, Any]]]:
    """What `select` gives as NumPy arrays, one dict for each image, without what fills it up."""
    arrays = {name: ops.convert_to_numpy(value) for name, value in found.items()}
    return [
        {name: value[index][arrays["classes"][index] >= 0] for name, value in arrays.items()}
        for index in range(len(arrays["classes"]))
    ]
