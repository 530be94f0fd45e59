"""An optimizer that is right on several replicas: what Keras's can't do there is taken off it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from keras_attn._keras import rate_of


@dataclasses.dataclass(frozen=True)
class TakenOver:
    """What an optimizer was asked for, and the model has to do in its place.

    Attributes:
        accumulation_steps: Number of batches of whose gradients an update takes the mean.
        ema_overwrite_frequency: Number of steps after each of which the weights become their
            moving average; `None` for never.
        reduces_first: Whether the optimizer must be given the mean of all replicas' gradients.
    """

    accumulation_steps: int = 1
    ema_overwrite_frequency: int | None = None
    reduces_first: bool = False


def take_over(optimizer: keras.optimizers.Optimizer, replicas: int) -> TakenOver:
    """Keeps what Keras's optimizer can't do under a strategy, for the model to do.

    Args:
        optimizer: Optimizer of a replica, which is changed.
        replicas: Number of replicas.
    """
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    inner = optimizer.inner_optimizer if scaled else optimizer
    accumulation_steps = inner.gradient_accumulation_steps or 1
    ema_overwrite_frequency = inner.ema_overwrite_frequency if inner.use_ema else None
    inner.gradient_accumulation_steps = inner.ema_overwrite_frequency = None
    schedule = rate_of(inner)
    if accumulation_steps > 1 and callable(schedule):
        inner.learning_rate = _AtEachUpdate(schedule, accumulation_steps)
    # Keras clips, and looks for an overflow, in what each replica has; its own sum comes after
    # that. So each replica is given the mean of the sum, a share of it that is the same
    # everywhere, and the bounds are for a share too.
    limits = [name for name in ("clipnorm", "global_clipnorm", "clipvalue")
              if getattr(inner, name) is not None]  # fmt: skip
    for name in limits:
        setattr(inner, name, getattr(inner, name) / replicas)
    return TakenOver(accumulation_steps, ema_overwrite_frequency, scaled or bool(limits))


class _AtEachUpdate(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that counts batches, asked by an optimizer that counts updates of `batches`."""

    def __init__(self, schedule: Callable[[Any], Any], batches: int) -> None:
        super().__init__()
        self.schedule, self.batches = schedule, batches

    def __call__(self, step: Any) -> Any:
        """Keras updates with the rate of the last batch of an update."""
        return self.schedule(step * self.batches + self.batches - 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"schedule": self.schedule, "batches": self.batches}
