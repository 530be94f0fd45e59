"""The two optimizers, each with warm-up and a falling learning rate."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_attn.training.layerwise import LayerwiseAdamW, LayerwiseSGD, factors_by_weight

SCHEDULES = ("cosine", "step")


@dataclasses.dataclass(frozen=True)
class OptimizerDefaults:
    """What an optimizer is given where the caller gives nothing."""

    learning_rate: float
    weight_decay: float


# For batches of 128. SGD's are He et al. (2015), section 4.2: 0.1 and 1e-4; Keras's weight decay
# is decoupled and so lacks momentum's tenfold amplification, for which 1e-3 makes up. AdamW's are
# ours: they suit small networks, and no paper's table is claimed.
DEFAULTS = {
    "sgd": OptimizerDefaults(learning_rate=0.1, weight_decay=1e-3),
    "adamw": OptimizerDefaults(learning_rate=1e-3, weight_decay=5e-2),
}


def make_optimizer(
    name: str,
    model: keras.Model,
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    schedule: str = "cosine",
    milestones: Sequence[float] = (0.5, 0.75),
    warmup: float = 0.1,
    decay_all: bool = False,
    clip_norm: float | None = None,
    ema: float | None = None,
    accumulation_steps: int = 1,
    learning_rate_factors: Mapping[str, float] | None = None,
    weight_decay_factors: Mapping[str, float] | None = None,
    scale_loss: bool = False,
) -> keras.optimizers.Optimizer:
    """Makes an optimizer for a model: linear warm-up, then a falling learning rate.

    The weight decay is decoupled (each step shrinks a weight by learning rate times weight
    decay, for SGD too) and spares what has one axis or none: biases, and the scales and
    offsets of BatchNormalization.

    Args:
        name: `"sgd"` (Nesterov momentum 0.9) or `"adamw"`.
        model: The built model whose weights it will train.
        steps: Updates of the whole training.
        learning_rate: The peak.
        weight_decay: 0 for none.
        schedule: `"cosine"`, which ends at zero, or `"step"`.
        milestones: For `"step"`: after which shares of the updates the rate drops to a tenth.
        warmup: In which share of the updates the rate rises from zero to its peak.
        decay_all: Whether nothing is spared.
        clip_norm: Bound of the norm of the whole gradient.
        ema: Momentum of the weights' moving average.
        accumulation_steps: Of how many batches an update takes the mean gradient.
        learning_rate_factors: Pattern of layer names -> what their rate is multiplied by.
        weight_decay_factors: The same of their weight decay.
        scale_loss: Whether the loss is scaled for float16.

    Returns:
        A Keras optimizer that is not built yet.

    Raises:
        ValueError: If there is no optimizer or schedule of that name.
    """
    check_optimizer(name)
    warmup_steps = min(round(warmup * steps), steps - 1)
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup_steps else learning_rate,
            decay_steps=steps - warmup_steps,
            warmup_target=learning_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    else:
        rate = StepDecay(
            learning_rate, [round(share * steps) for share in milestones], warmup_steps=warmup_steps
        )
    if accumulation_steps > 1:
        rate = CountingUpdates(rate, accumulation_steps)
    options: dict[str, Any] = {
        "global_clipnorm": clip_norm,
        "use_ema": ema is not None,
        "ema_momentum": 0.99 if ema is None else ema,
        "gradient_accumulation_steps": accumulation_steps if accumulation_steps > 1 else None,
    }
    layerwise = {
        argument: factors_by_weight(model, factors, argument)
        for argument, factors in (
            ("learning_rate_factors", learning_rate_factors),
            ("weight_decay_factors", weight_decay_factors),
        )
        if factors
    }
    options |= layerwise
    if name == "sgd":
        sgd = LayerwiseSGD if layerwise else keras.optimizers.SGD
        optimizer = sgd(
            rate, momentum=0.9, nesterov=True, weight_decay=weight_decay or None, **options
        )
    else:
        adamw = LayerwiseAdamW if layerwise else keras.optimizers.AdamW
        optimizer = adamw(rate, weight_decay=weight_decay, **options)
    if not decay_all:
        spared = [weight for weight in model.trainable_variables if len(weight.shape) <= 1]
        optimizer.exclude_from_weight_decay(var_list=spared)
    return keras.optimizers.LossScaleOptimizer(optimizer) if scale_loss else optimizer


@keras.saving.register_keras_serializable(package="keras_attn")
class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then a rate that drops by a factor at each milestone.

    As in [He et al. (2015)](https://arxiv.org/abs/1512.03385), section 4.2, and most papers here.

    Args:
        initial_learning_rate: The peak.
        boundaries: After how many updates the rate drops, ascending.
        factor: What it is multiplied by.
        warmup_steps: In how many updates it rises from zero.

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
        schedule: What gives the rate of an update.
        accumulation_steps: How many batches an update has.

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
    def from_config(cls, config: dict[str, Any]) -> "CountingUpdates":
        """Makes the schedule, and the one within it."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["accumulation_steps"])


def check_optimizer(name: str) -> None:
    """Raises a ValueError unless `name` is one of `DEFAULTS`."""
    if name not in DEFAULTS:
        raise ValueError(
            f"`optimizer` must be one of {', '.join(map(repr, DEFAULTS))}. "
            f"Received: optimizer={name!r}"
        )
