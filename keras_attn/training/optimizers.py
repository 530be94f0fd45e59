"""The two optimizers, each with warm-up and a falling learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

from keras_attn.training.layerwise import LayerwiseAdamW, LayerwiseSGD, factors_by_weight

if TYPE_CHECKING:
    from keras_attn.training.config import TrainingConfig


def make_optimizer(
    config: TrainingConfig, model: keras.Model, *, steps: int
) -> keras.optimizers.Optimizer:
    """Makes a training's optimizer: linear warm-up, then a falling learning rate.

    The weight decay is decoupled (each step shrinks a weight by learning rate times weight
    decay, for SGD too) and spares what has one axis or none: biases, and the scales and
    offsets of BatchNormalization.

    Args:
        config: Options of the training.
        model: Built model whose weights the optimizer will train.
        steps: Number of updates of the whole training.

    Returns:
        A Keras optimizer that is not built yet.

    Raises:
        ValueError: If a factor is for layers that the model doesn't have.
    """
    config = config.filled_in()
    options: dict[str, Any] = {
        "learning_rate": make_schedule(config, steps),
        "weight_decay": config.weight_decay,
        "global_clipnorm": config.clip_norm,
        "use_ema": config.ema is not None,
        "ema_momentum": 0.99 if config.ema is None else config.ema,
        "gradient_accumulation_steps": (
            config.accumulation_steps if config.accumulation_steps > 1 else None
        ),
    }
    layerwise = {
        name: factors_by_weight(model, factors, name)
        for name in ("learning_rate_factors", "weight_decay_factors")
        if (factors := getattr(config, name))
    }
    if config.optimizer == "sgd":
        sgd = LayerwiseSGD if layerwise else keras.optimizers.SGD
        options["weight_decay"] = config.weight_decay or None
        optimizer = sgd(momentum=0.9, nesterov=True, **options, **layerwise)
    else:
        adamw = LayerwiseAdamW if layerwise else keras.optimizers.AdamW
        optimizer = adamw(**options, **layerwise)
    if not config.decay_all:
        spared = [weight for weight in model.trainable_variables if len(weight.shape) <= 1]
        optimizer.exclude_from_weight_decay(var_list=spared)
    if config.mixed_precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def make_schedule(config: TrainingConfig, steps: int) -> Any:
    """The learning rate of each update of a training.

    Args:
        config: Options of the training.
        steps: Number of its updates.
    """
    peak = config.filled_in().learning_rate or 0.0
    warmup_steps = min(round(config.warmup * steps), steps - 1)
    rate: keras.optimizers.schedules.LearningRateSchedule
    if config.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup_steps else peak,
            decay_steps=steps - warmup_steps,
            warmup_target=peak if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    else:
        boundaries = [round(share * steps) for share in config.milestones]
        rate = StepDecay(peak, boundaries, warmup_steps=warmup_steps)
    return (
        CountingUpdates(rate, config.accumulation_steps) if config.accumulation_steps > 1 else rate
    )


@keras.saving.register_keras_serializable(package="keras_attn")
class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then a rate that drops by a factor at each milestone.

    As in [He et al. (2015)](https://arxiv.org/abs/1512.03385), section 4.2, and most papers here.

    Args:
        initial_learning_rate: Peak of the rate.
        boundaries: Numbers of updates after which the rate drops, ascending.
        factor: Factor by which it drops.
        warmup_steps: Number of updates in which it rises from zero.

    Raises:
        ValueError: If the boundaries don't ascend.

    Example:
        >>> [float(StepDecay(1.0, [4, 6], warmup_steps=2)(step)) for step in (0, 1, 3, 4, 6)]
        [0.0, 0.5, 1.0, 0.1, 0.01]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        boundaries: Sequence[int],
        *,
        factor: float = 0.1,
        warmup_steps: int = 0,
    ) -> None:
        super().__init__()
        if list(boundaries) != sorted(boundaries):
            raise ValueError(f"`boundaries` must ascend. Received: boundaries={boundaries!r}")
        self.initial_learning_rate = initial_learning_rate
        self.boundaries = list(boundaries)
        self.factor = factor
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        """The rate of the update that follows `step` others."""
        step = keras.ops.cast(step, "float32")
        rate = keras.ops.ones_like(step) * self.initial_learning_rate
        for boundary in self.boundaries:
            rate = keras.ops.where(step >= boundary, rate * self.factor, rate)
        if self.warmup_steps:
            rate = rate * keras.ops.minimum(1.0, step / self.warmup_steps)
        return rate

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "boundaries": self.boundaries,
            "factor": self.factor,
            "warmup_steps": self.warmup_steps,
        }


@keras.saving.register_keras_serializable(package="keras_attn")
class CountingUpdates(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule by updates, for a Keras optimizer that accumulates: it counts batches.

    Args:
        schedule: Schedule that gives the rate of an update.
        accumulation_steps: Number of batches that an update has.

    Example:
        >>> rate = CountingUpdates(StepDecay(1.0, [1]), 2)
        >>> [float(rate(batch)) for batch in range(4)]
        [1.0, 1.0, 0.1, 0.1]
    """

    def __init__(self, schedule: Any, accumulation_steps: int) -> None:
        super().__init__()
        self.schedule = schedule
        self.accumulation_steps = accumulation_steps

    def __call__(self, step: Any) -> Any:
        """The rate of the update to which the batch after `step` others belongs."""
        return self.schedule(keras.ops.floor_divide(step, self.accumulation_steps))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "accumulation_steps": self.accumulation_steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CountingUpdates:
        """Makes the schedule, and the one within it."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["accumulation_steps"])
