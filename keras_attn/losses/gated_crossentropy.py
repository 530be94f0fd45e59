"""The gated loss of Lin et al., GRSL 2017: a shallow network learns where a deep one says so."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class GatedCrossentropy(keras.losses.Loss):
    """Binary crossentropy at the places where a gate is open.

    Lin, Shi and Zou, "Fully Convolutional Network With Task Partitioning for Inshore Ship
    Detection in Optical Remote Sensing Images", IEEE GRSL 2017, whose abstract alone is public: the
    equation is our reading of it. With labels y, predictions q and the gate m, of each image

        sum_ij m_ij BCE(y_ij, q_ij) / max(1, sum_ij m_ij)

    The gate is no target: it gets no gradient. Where it is closed the gradient is exactly 0, and
    with a gate that is closed everywhere the loss is 0.

    Args:
        from_logits: Whether `y_pred` are logits.
        reduction: As `keras.losses.Loss` has it.
        name: The loss's name.
        **kwargs: Arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: (B, H, W, 2): the labels, and the gate from 0 to 1, as `AttentionGate` gives it.
        y_pred: (B, H, W, 1).

    Raises:
        ValueError: If the shapes are others.

    Example:

    >>> labels_and_gate = np.array([[[[1.0, 1.0], [1.0, 0.0]]]])  # (1, 1, 2, 2)
    >>> loss = keras_attn.losses.GatedCrossentropy()(labels_and_gate, np.zeros((1, 1, 2, 1)))
    >>> print(f"{float(loss):.4f}")  # log 2, of the first place alone
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = True,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str = "gated_crossentropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.from_logits = from_logits

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each image, (B,)."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        true, predicted = tuple(y_true.shape), tuple(y_pred.shape)
        if (
            (len(true), len(predicted)) != (4, 4)
            or (true[3], predicted[3]) != (2, 1)
            or any(
                None not in (a, b) and a != b for a, b in zip(true[:3], predicted[:3], strict=True)
            )
        ):
            raise ValueError(
                "`y_true` must be (B, H, W, 2), labels and gate, and `y_pred` (B, H, W, 1). "
                f"Received: shapes {true} and {predicted}"
            )
        gate = ops.stop_gradient(y_true[..., 1])
        is_open, logits = gate > 0, y_pred[..., 0]
        nothing = ops.zeros_like(logits)
        losses = ops.binary_crossentropy(
            y_true[..., 0], ops.where(is_open, logits, nothing), from_logits=self.from_logits
        )
        total = ops.sum(ops.where(is_open, gate * losses, nothing), axis=(1, 2))
        return total / ops.maximum(ops.sum(gate, axis=(1, 2)), 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "from_logits": self.from_logits}
