"""Recurrent Attention Model (Mnih et al., NIPS 2014): looks at few places, learns which."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers import RecurrentGlimpses
from keras_attn.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class GlimpseClassifier(keras.Model):
    """A functional model with a `RecurrentGlimpses`, and the loss that trains it.

    Its output is that layer's dict; `fit` takes images and the numbers of their classes, and
    metrics are of the probabilities. With R = 1 where the last step's most likely class is the
    right one, and 0 otherwise, the loss is the mean over the images of

        -log p_y + mean_t (b_t - R)^2 - sum_t log N(l_{t+1}; mu_t, std^2) (R - b_t),

    where no gradient goes through R - b_t in the last term: REINFORCE with a learned baseline.
    """

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The loss of a batch; raises a ValueError where `y` isn't the numbers of classes."""
        probabilities, baselines = y_pred["probabilities"], y_pred["baselines"]
        if len(y.shape) > 1 and tuple(y.shape[1:]) != (1,):
            raise ValueError(
                "`y` must be the numbers of the classes, (B,) or (B, 1). "
                f"Received: y with shape {tuple(y.shape)}"
            )
        labels = ops.reshape(ops.cast(y, "int32"), (-1,))
        loss = keras.losses.sparse_categorical_crossentropy(labels, probabilities)
        is_right = ops.equal(ops.cast(ops.argmax(probabilities, axis=-1), "int32"), labels)
        reward = ops.cast(is_right, baselines.dtype)[:, None]
        advantage = ops.stop_gradient(reward - baselines)[:, :-1]
        loss = loss + ops.mean(ops.square(baselines - reward), axis=-1)
        loss = loss - ops.sum(y_pred["log_densities"] * advantage, axis=-1)
        if sample_weight is not None:
            loss = loss * ops.cast(sample_weight, loss.dtype)
        return sum(self.losses, ops.mean(loss))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Those of the probabilities."""
        return super().compute_metrics(x, y, y_pred["probabilities"], sample_weight)

    def sample(self, images: Any, num_samples: int = 8) -> Tensor:
        """The classes' probabilities, each the mean over runs whose places are drawn.

        Args:
            images: (B, H, W, C), as the model takes them.
            num_samples: Number of runs.

        Returns:
            Tensor (B, classes).

        Raises:
            ValueError: If `num_samples` isn't a positive integer.
        """
        check_positive_int("num_samples", num_samples)
        glimpses = next(x for x in self.layers if isinstance(x, RecurrentGlimpses))
        seen = keras.Model(self.inputs[0], glimpses.input)(images)
        runs = [glimpses(seen, sample=True)["probabilities"] for _ in range(num_samples)]
        return ops.mean(ops.stack(runs), axis=0)


def RecurrentAttention(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    *,
    include_preprocessing: bool = True,
    name: str = "recurrent_attention",
    **glimpses: Any,
) -> GlimpseClassifier:
    """Recurrent Attention Model: looks at a few places, and learns by reinforcement which.

    [Mnih et al., "Recurrent Models of Visual Attention", NIPS
    2014](https://arxiv.org/abs/1406.6247). It trains by plain `fit`, for which `compile` needs no
    loss: the model has its own, see `GlimpseClassifier`.

    Args:
        input_shape: (H, W, C) of the images.
        classes: Number of classes.
        include_preprocessing: Whether the model takes pixels from 0 to 255 and scales them itself.
        name: The model's name.
        **glimpses: Options of `RecurrentGlimpses`, such as `num_glimpses`.

    Returns:
        A functional model from (B, H, W, C) to the dict of `RecurrentGlimpses`.

    Raises:
        ValueError: Where an argument is wrong.

    Example:

    >>> model = keras_attn.applications.RecurrentAttention((28, 28, 1), 10, num_glimpses=4)
    >>> model.compile("adam", metrics=["accuracy"])
    >>> images, labels = np.zeros((8, 28, 28, 1)), np.arange(8)
    >>> sorted(model.fit(images, labels, verbose=0).history)
    ['accuracy', 'loss']
    """
    image = keras.Input(input_shape, name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(image) if include_preprocessing else image
    outputs = RecurrentGlimpses(classes, name="glimpses", **glimpses)(x)
    return GlimpseClassifier(image, outputs, name=name)
