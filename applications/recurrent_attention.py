"""Recurrent attention, RAM (NIPS 2014) and DRAM (ICLR 2015): which places to look at is learned."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_positive_int
from keras_attn.layers import RecurrentGlimpses
from keras_attn.losses._labels import class_shares
from keras_attn.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class GlimpseClassifier(keras.Model):
    """A functional model with a `RecurrentGlimpses`, and the loss that trains it.

    Its output is that layer's dict; `fit` takes images and the numbers of their classes, (B,), or
    (B, S) of S targets in the order in which they are to be read, `classes` standing for the end
    of an image that has fewer. Of one target it takes the share of each class, too, (B, classes).
    Metrics are of the probabilities. With R_s = 1 where the most likely class of target s is the
    right one (of shares: that class's share), and 0 otherwise, the loss is the mean over the images
    of

        -sum_s log p_sy + mean_t (b_t - G_t)^2 - sum_t log N(l_t; mu_t, std^2) (G_t - b_t),

    where G_t is the sum of R_s over the target that is looked at at step t and those after it, and
    no gradient goes through G_t - b_t in the last term: REINFORCE with a learned baseline. What
    follows an end counts for nothing.
    """

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The loss of a batch; raises a ValueError where `y` has another shape."""
        probabilities, baselines = y_pred["probabilities"], y_pred["baselines"]
        shares = self._shares(y, probabilities)  # (B, S, K)
        if len(probabilities.shape) == 2:
            probabilities = probabilities[:, None]
        counts = _until_the_end(shares)
        loss = keras.losses.categorical_crossentropy(shares, probabilities)
        loss = ops.sum(loss * counts, axis=-1)
        likeliest = ops.one_hot(ops.argmax(probabilities, axis=-1), shares.shape[-1])
        rewards = ops.sum(ops.cast(likeliest, shares.dtype) * shares, axis=-1) * counts
        to_come = ops.flip(ops.cumsum(ops.flip(rewards, axis=1), axis=1), axis=1)
        steps, choices = baselines.shape[1], y_pred["log_densities"].shape[1]
        each = steps // shares.shape[1]
        # A baseline is of the place that is chosen after it; the last place's has none.
        looked_at = [min(t + steps - choices, steps - 1) // each for t in range(steps)]
        returns = ops.cast(ops.take(to_come, looked_at, axis=1), baselines.dtype)
        loss = loss + ops.mean(ops.square(baselines - returns), axis=-1)
        advantage = ops.stop_gradient(returns - baselines)[:, :choices]
        loss = loss - ops.sum(y_pred["log_densities"] * advantage, axis=-1)
        if sample_weight is not None:
            loss = loss * ops.cast(sample_weight, loss.dtype)
        return sum(self.losses, ops.mean(loss))

    def _shares(self, y: Any, probabilities: Tensor) -> Tensor:
        """The share of each class, (B, S, K), of one target or several."""
        *targets, classes = probabilities.shape[1:]
        if not targets:
            return class_shares("y", y, classes, probabilities.dtype)[:, None]
        if list(y.shape[1:]) != targets:
            raise ValueError(
                f"`y` must be the numbers of the classes, (B, {targets[0]}). "
                f"Received: y with shape {tuple(y.shape)}"
            )
        return ops.one_hot(ops.cast(y, "int32"), classes, dtype=probabilities.dtype)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Those of the probabilities."""
        return super().compute_metrics(x, y, y_pred["probabilities"], sample_weight)

    def sample(self, images: Any, num_samples: int = 8) -> Tensor:
        """The classes' probabilities, each the mean over runs whose places are drawn.

        Args:
            images: (B, H, W, C), as the model takes them.
            num_samples: Number of runs.

        Returns:
            Tensor (B, classes), or (B, S, classes + 1) of S targets.

        Raises:
            ValueError: If `num_samples` isn't a positive integer.
        """
        check_positive_int("num_samples", num_samples)
        glimpses = next(x for x in self.layers if isinstance(x, RecurrentGlimpses))
        seen = keras.Model(self.inputs[0], glimpses.input)(images)
        runs = [glimpses(seen, sample=True)["probabilities"] for _ in range(num_samples)]
        return ops.mean(ops.stack(runs), axis=0)


def _until_the_end(shares: Tensor) -> Tensor:
    """1 for each target up to the first end, that included, and 0 after it: (B, S)."""
    if shares.shape[1] == 1:
        return ops.ones_like(shares[..., 0])
    ended = ops.cumsum(shares[..., -1], axis=1)
    before = ops.pad(ended[:, :-1], ((0, 0), (1, 0)))
    return ops.cast(ops.equal(before, 0), shares.dtype)


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
    loss: the model has its own, see `GlimpseClassifier`. Or by `keras_attn.training.train`, as by
    `keras-attn train --model recurrent_attention`.

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


def DeepRecurrentAttention(
    input_shape: tuple[int, int, int] = (100, 100, 1),
    classes: int = 10,
    targets: int = 2,
    *,
    include_preprocessing: bool = True,
    name: str = "deep_recurrent_attention",
    **glimpses: Any,
) -> GlimpseClassifier:
    """Deep Recurrent Attention Model: reads several objects, each by a few glimpses.

    [Ba, Mnih & Kavukcuoglu, "Multiple Object Recognition with Visual Attention", ICLR
    2015](https://arxiv.org/abs/1412.7755). It is `RecurrentAttention` with convolutions in its
    glimpses, two LSTMs, and a look at the whole image that chooses where to begin. The widths are
    options: the paper's own are not all known for sure, so the defaults are ours.

    Args:
        input_shape: (H, W, C) of the images.
        classes: Number of classes, without the end.
        targets: Number S of objects that an image has at most.
        include_preprocessing: Whether the model takes pixels from 0 to 255 and scales them itself.
        name: The model's name.
        **glimpses: Options of `RecurrentGlimpses`. Here `num_glimpses` is 3, of each target,
            `glimpse_size` 12, `num_scales` 2, `cell` "lstm", `merge` "multiply", `filters`
            (32, 32), `context` 24 and `location_units` 128 unless they are given.

    Returns:
        A functional model from (B, H, W, C) to the dict of `RecurrentGlimpses`, whose
        probabilities are (B, S, classes + 1).

    Raises:
        ValueError: Where an argument is wrong.

    Example:

    >>> model = keras_attn.applications.DeepRecurrentAttention((48, 48, 1), 10, targets=2)
    >>> model.output_shape["probabilities"]
    (None, 2, 11)
    """
    options: dict[str, Any] = {
        "num_glimpses": 3,
        "glimpse_size": 12,
        "num_scales": 2,
        "cell": "lstm",
        "merge": "multiply",
        "filters": (32, 32),
        "context": 24,
        "location_units": 128,
    }
    return RecurrentAttention(
        input_shape,
        classes,
        include_preprocessing=include_preprocessing,
        name=name,
        targets=targets,
        **{**options, **glimpses},
    )
