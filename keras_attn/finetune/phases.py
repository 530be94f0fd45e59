"""The phases of a fine-tuning: what each trains, for how long, and at which rates."""

import dataclasses
import glob
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Phase:
    """What a phase trains, and how fast.

    Attributes:
        epochs: How many it has.
        through: The last stage that is frozen; `None` for none.
        stages: Name of a stage -> the names of its layers, all of the network's.
        layer_decay: Each stage's share of the rate of the one behind it.
        weight_decays: Name of a stage -> what its weight decay is multiplied by.
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
    if (
        isinstance(unfreeze_every, bool)
        or not isinstance(unfreeze_every, int)
        or unfreeze_every < 1
    ):
        raise ValueError(
            "`unfreeze_every` must be a positive integer or None. "
            f"Received: unfreeze_every={unfreeze_every!r}"
        )
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
