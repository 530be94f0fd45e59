"""The phases of a fine-tuning: what each trains, for how long, and at which rates."""

import dataclasses
import glob
from collections.abc import Mapping
from typing import Any

from keras_attn._checks import check_int
from keras_attn.training import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Phase:
    """What a phase trains, and how fast.

    Attributes:
        epochs: Number of epochs.
        through: Last stage that is frozen; `None` for none.
        stages: Name of a stage -> names of its layers, for all of the network.
        layer_decay: Share that each stage has of the rate of the one behind it.
        weight_decays: Name of a stage -> factor of its weight decay.
    """

    epochs: int
    through: str | None
    stages: dict[str, list[str]]
    layer_decay: float
    weight_decays: Mapping[str, float]

    @property
    def frozen(self) -> list[str]:
        """The stages that are frozen."""
        names = list(self.stages)
        return names[: names.index(self.through) + 1] if self.through is not None else []

    @property
    def trained(self) -> list[str]:
        """The others."""
        return [stage for stage in self.stages if stage not in self.frozen]

    def learning_rates(self, head: float) -> dict[str, float]:
        """Stage -> its peak rate."""
        names = list(self.stages)
        return {
            stage: head * self.layer_decay ** (len(names) - 1 - i)
            for i, stage in enumerate(names)
            if stage not in self.frozen
        }

    def learning_rate_factors(self) -> dict[str, float]:
        """By layer, as `train` takes them."""
        return self._by_layer(self.learning_rates(1.0))

    def weight_decay_factors(self) -> dict[str, float]:
        """By layer, as `train` takes them."""
        unknown = [stage for stage in self.weight_decays if stage not in self.stages]
        if unknown:
            raise ValueError(
                "`weight_decay_factors` must be by the stages "
                f"{', '.join(map(repr, self.stages))}. Received: {', '.join(map(repr, unknown))}"
            )
        kept = {k: v for k, v in self.weight_decays.items() if k not in self.frozen}
        return self._by_layer(kept)

    def config(self, whole: TrainingConfig, *, is_last: bool) -> TrainingConfig:
        """The options of its training.

        Args:
            whole: Options of all phases together.
            is_last: Whether it is the last phase, the only one that may keep its best epoch, and
                end early.
        """
        return dataclasses.replace(
            whole,
            epochs=self.epochs,
            learning_rate_factors=self.learning_rate_factors(),
            weight_decay_factors=self.weight_decay_factors(),
            keep_best=whole.keep_best and is_last,
            patience=whole.patience if is_last else None,
        )

    def report(self, learning_rate: float) -> dict[str, Any]:
        """What a report says of it before it is trained; `learning_rate` is the head's."""
        return {
            "epochs": self.epochs,
            "frozen": self.frozen,
            "trained": self.trained,
            "learning_rates": self.learning_rates(learning_rate),
        }

    def _by_layer(self, factors: Mapping[str, float]) -> dict[str, float]:
        return {
            glob.escape(name): factor
            for stage, factor in factors.items()
            if factor != 1
            for name in self.stages[stage]
        }


def plan_phases(
    stages: list[str], epochs: int, through: str | None, unfreeze_every: int | None
) -> list[tuple[int, str | None]]:
    """The phases: how many epochs, and through which stage is frozen.

    Raises:
        ValueError: If there is no such stage, or too few epochs.
    """
    if through is not None and through not in stages[:-1]:
        raise ValueError(
            "`through` must be None or a stage before the head, one of "
            f"{', '.join(map(repr, stages[:-1]))}. Received: through={through!r}"
        )
    if unfreeze_every is None:
        return [(epochs, through)]
    unfreeze_every = check_int("unfreeze_every", unfreeze_every, "a positive integer or None")
    last = stages.index(through) if through is not None else -1
    boundaries: list[str | None] = [*reversed(stages[max(last, 0) : -1])]
    if last < 0:
        boundaries.append(None)
    rest = epochs - unfreeze_every * (len(boundaries) - 1)
    if rest < 1:
        raise ValueError(
            f"`epochs` must leave one for the last of {len(boundaries)} phases. Received: "
            f"epochs={epochs}, unfreeze_every={unfreeze_every}"
        )
    return [(unfreeze_every, stage) for stage in boundaries[:-1]] + [(rest, boundaries[-1])]
