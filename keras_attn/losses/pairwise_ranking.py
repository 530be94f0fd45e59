"""The ranking loss of Fu et al., CVPR 2017: a closer look must be the surer one."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.losses._labels import class_shares
from keras_attn.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class PairwiseRankingLoss(keras.losses.Loss):
    """Has each scale's probability of the right class exceed that of the coarser scale before it.

    Fu et al., "Look Closer to See Better", CVPR 2017: with p_s the probability that scale s of S
    gives the right class,

        sum_{s < S} max(0, p_s - p_{s+1} + margin)

    Args:
        margin: By how much the finer scale must be surer.
        reduction: As `keras.losses.Loss` has it.
        name: The loss's name.
        **kwargs: Arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: (B,) or (B, 1), numbers of classes; or (B, K), the share of each.
        y_pred: (B, S, K), probabilities, the coarsest scale first.

    Raises:
        ValueError: If `margin` is negative, `y_pred` isn't of two scales or more, or `y_true` is
            neither the numbers of the classes nor their shares.

    Example:

    >>> probabilities = [[[0.5, 0.5], [0.6, 0.4], [0.58, 0.42]]]
    >>> loss = keras_attn.losses.PairwiseRankingLoss()([0], probabilities)
    >>> print(f"{float(loss):.2f}")  # 0 + (0.6 - 0.58 + 0.05)
    0.07
    """

    def __init__(
        self,
        margin: float = 0.05,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str = "pairwise_ranking",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, **kwargs)
        if not margin >= 0:
            raise ValueError(f"`margin` must be 0 or more. Received: margin={margin!r}")
        self.margin = margin

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each image, (B,)."""
        y_pred = ops.convert_to_tensor(y_pred)
        if len(y_pred.shape) != 3 or y_pred.shape[1] < 2:
            raise ValueError(
                "`y_pred` must be (B, S, K): the classes' probabilities at two scales or more. "
                f"Received: y_pred with shape {tuple(y_pred.shape)}"
            )
        shares = class_shares("y_true", y_true, y_pred.shape[2], y_pred.dtype)
        right = ops.sum(y_pred * shares[:, None, :], axis=-1)  # (B, S)
        return ops.sum(ops.relu(right[:, :-1] - right[:, 1:] + self.margin), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "margin": self.margin}
