"""What losses take as labels."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_attn.typing import Tensor


def class_shares(name: str, labels: Any, classes: int, dtype: Any) -> Tensor:
    """The share of each class, of numbers of classes or of shares.

    Args:
        name: What the labels are called in the error.
        labels: (B,) or (B, 1), numbers of the classes; or (B, K), the share of each: one-hot, or
            smoothed or mixed.
        classes: Their number K, 2 or more.
        dtype: That of the shares.

    Returns:
        (B, K).

    Raises:
        ValueError: If the labels have another shape.
    """
    labels = ops.convert_to_tensor(labels)
    if tuple(labels.shape[1:]) == (classes,):
        return ops.cast(labels, dtype)
    if tuple(labels.shape[1:]) not in [(), (1,)]:
        raise ValueError(
            f"`{name}` must be the numbers of the classes, (B,) or (B, 1), or the share of each, "
            f"(B, {classes}). Received: {name} with shape {tuple(labels.shape)}"
        )
    return ops.one_hot(ops.reshape(ops.cast(labels, "int32"), (-1,)), classes, dtype=dtype)
