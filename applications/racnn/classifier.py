"""The model of RA-CNN and its loss, whose two terms can be trained in turns."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn.losses import PairwiseRankingLoss
from keras_attn.losses._labels import class_shares
from keras_attn.typing import Tensor

TERMS = ("classification", "ranking")


@keras.saving.register_keras_serializable(package="keras_attn")
class ScaleClassifier(keras.Model):
    """A functional model that classifies at several scales, and the loss that trains it.

    Its output is a dict: the classes' probabilities as `"scale1"`, `"scale2"`, ..., the coarsest
    first, and the fused ones as `"probabilities"`; and `"boxes"`. `fit` takes images and the
    numbers of their classes, or the share of each class; metrics are of the fused probabilities.
    The loss is the mean over the images of

        sum_s -log p_s - log p_fused + sum_{s < S} max(0, p_s - p_{s+1} + margin),

    p being the probability of the right class.

    Args:
        *args: Inputs and outputs, as `keras.Model` takes them.
        margin: Margin of `PairwiseRankingLoss`.
        **kwargs: Arguments of `keras.Model`.

    Attributes:
        terms: Which terms count, `"classification"`, `"ranking"` or both; compile the model after a
            change. It isn't saved.
    """

    terms: tuple[str, ...] = TERMS

    def __init__(self, *args: Any, margin: float = 0.05, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not margin >= 0:
            raise ValueError(f"`margin` must be 0 or more. Received: margin={margin!r}")
        self.margin = margin

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "margin": self.margin}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The loss of a batch; raises a ValueError where `y` has another shape."""
        found = self.loss_terms(y, y_pred)
        loss: Tensor = sum(found[term] for term in self.terms)
        if sample_weight is not None:
            loss = loss * ops.cast(sample_weight, loss.dtype)
        return sum(self.losses, ops.mean(loss))

    def loss_terms(self, y: Any, y_pred: Any) -> dict[str, Tensor]:
        """Each term of the loss for each image.

        Args:
            y: (B,) or (B, 1), numbers of the classes; or (B, K), the share of each.
            y_pred: The model's output.

        Returns:
            `"classification"` and `"ranking"`, (B,) each.

        Raises:
            ValueError: If `y` is neither the numbers of the classes nor their shares.
        """
        fused = y_pred["probabilities"]
        shares = class_shares("y", y, fused.shape[-1], fused.dtype)
        scales = [y_pred[name] for name in scale_names(y_pred)]
        entropies = [
            keras.losses.categorical_crossentropy(shares, each) for each in (*scales, fused)
        ]
        ranking = PairwiseRankingLoss(self.margin).call(shares, ops.stack(scales, axis=1))
        return {"classification": sum(entropies[1:], entropies[0]), "ranking": ranking}

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Those of the fused probabilities."""
        return super().compute_metrics(x, y, y_pred["probabilities"], sample_weight)


def scale_names(outputs: Any) -> list[str]:
    """The scales' names among the outputs, the coarsest first."""
    return [f"scale{number + 1}" for number in range(len(outputs) - 2)]
