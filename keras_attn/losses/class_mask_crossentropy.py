"""The mask loss of Mask R-CNN (He et al., ICCV 2017): of K masks the true class's alone learns."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.typing import Tensor


def class_mask_targets(
    masks: Tensor, classes: Tensor, num_classes: int, *, ignore_class: int = -1
) -> Tensor:
    """What `ClassMaskCrossentropy` takes as `y_true`: a mask for each class, all but one ignored.

    Args:
        masks: (N, h, w) of 0 and 1, a mask of each region.
        classes: (N,), numbers of classes, from 0 on, without a background; -1 is no object.
        num_classes: Number K of classes; 1 for masks of any class, whose `classes` are all 0 or -1.
        ignore_class: The value of what is ignored.

    Returns:
        float32 (N, h, w, K): the mask in the channel of its class, `ignore_class` elsewhere.

    Raises:
        ValueError: If the shapes don't fit, or a class isn't one of the K. Of classes that only a
            graph knows, one that isn't counts as no object.

    Example:

    >>> targets = keras_attn.losses.class_mask_targets([[[0, 1]], [[1, 1]]], [1, -1], 2)
    >>> keras.ops.convert_to_numpy(targets).tolist()
    [[[[-1.0, 0.0], [-1.0, 1.0]]], [[[-1.0, -1.0], [-1.0, -1.0]]]]
    """
    if not ops.is_tensor(classes):
        known = np.asarray(classes)
        if known.size and not (known.min() >= -1 and known.max() < num_classes):
            raise ValueError(
                f"`classes` must be from 0 to {num_classes - 1}, or -1 for no object. "
                f"Received: classes from {known.min()} to {known.max()}"
            )
    masks, classes = ops.convert_to_tensor(masks), ops.convert_to_tensor(classes)
    if len(masks.shape) != 3 or len(classes.shape) != 1:
        raise ValueError(
            "`masks` must be (N, h, w) and `classes` (N,). "
            f"Received: shapes {tuple(masks.shape)} and {tuple(classes.shape)}"
        )
    own = ops.one_hot(ops.cast(classes, "int32"), num_classes, dtype="bool")[:, None, None]
    given = ops.cast(ops.expand_dims(masks, -1), "float32")
    return ops.where(own, given, ops.cast(ignore_class, "float32"))


@keras.saving.register_keras_serializable(package="keras_attn")
class ClassMaskCrossentropy(keras.losses.Loss):
    """Binary crossentropy of the true class's mask; the masks of the other classes don't count.

    [He et al., "Mask R-CNN", ICCV 2017](https://arxiv.org/abs/1703.06870). With z the logits of a
    region's K masks, c its class and t its mask of m x m pixels,

        mean_ij -t_ij log sigmoid(z_ijc) - (1 - t_ij) log(1 - sigmoid(z_ijc))

    so that classes don't compete, and the gradient of the other channels is exactly 0. The mean is
    over a region's counted values, then over the regions that have one: without an object at all,
    loss and gradient are 0. Where values are ignored for another reason, such as a void label, it
    serves as well.

    Args:
        from_logits: Whether `y_pred` are logits; probabilities lose their gradient near 0 and 1.
        ignore_class: The value of `y_true` that doesn't count.
        reduction: As `keras.losses.Loss` has it; `"sum_over_batch_size"` is the mean over the
            regions that count.
        name: The loss's name.
        **kwargs: Arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: (N, h, w, K) of 0, 1 and `ignore_class`, see `class_mask_targets`.
        y_pred: (N, h, w, K).

    Raises:
        ValueError: If `y_true` and `y_pred` aren't (N, h, w, K) alike.

    Example:

    >>> targets = keras_attn.losses.class_mask_targets([[[0, 1]], [[1, 1]]], [1, -1], 2)
    >>> loss = keras_attn.losses.ClassMaskCrossentropy()(targets, np.zeros((2, 1, 2, 2)))
    >>> print(f"{float(loss):.4f}")  # log 2
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = True,
        ignore_class: int = -1,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str = "class_mask_crossentropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.from_logits = from_logits
        self.ignore_class = ignore_class

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each region, (N,)."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        shapes = tuple(y_true.shape), tuple(y_pred.shape)
        if any(len(shape) != 4 for shape in shapes) or any(
            None not in (a, b) and a != b for a, b in zip(*shapes, strict=True)
        ):
            raise ValueError(
                "`y_true` and `y_pred` must be alike, (N, h, w, K). "
                f"Received: shapes {shapes[0]} and {shapes[1]}"
            )
        counts = ops.not_equal(y_true, self.ignore_class)
        nothing = ops.zeros_like(y_pred)
        losses = ops.binary_crossentropy(
            ops.where(counts, y_true, nothing),
            ops.where(counts, y_pred, nothing),
            from_logits=self.from_logits,
        )
        of_region = ops.sum(ops.cast(counts, losses.dtype), axis=(1, 2, 3))
        total = ops.sum(ops.where(counts, losses, nothing), axis=(1, 2, 3))
        each = total / ops.maximum(of_region, 1)
        if self.reduction != "sum_over_batch_size":
            return each
        # Keras divides by all regions.
        regions = ops.cast(ops.shape(each)[0], each.dtype)
        having = ops.sum(ops.cast(of_region > 0, each.dtype))
        return each * (regions / ops.maximum(having, 1))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
        }
