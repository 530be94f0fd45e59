"""Fine-tuning: trainings one after another, each of which trains more stages than the last."""

import dataclasses
import glob
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_attn.finetune.stages import find_stages, freeze
from keras_attn.training import ImageDataset, TrainResult, load_run, train

_LOG = logging.getLogger(__name__)

REPORT_FILE = "finetune.json"
PHASES = "phases"
# For batches of 128, where a training from nothing takes 0.1 and 1e-3.
LEARNING_RATES = {"sgd": 0.01, "adamw": 1e-4}


@dataclasses.dataclass(frozen=True)
class FinetuneResult:
    """What a fine-tuning gave.

    Attributes:
        run: The last phase's result: the network, its history, its metrics, its files.
        report: What `finetune.json` holds: the stages, and for each phase what was frozen and
            trained, at which rates, and how it did.
    """

    run: TrainResult
    report: dict[str, Any]


def finetune(
    build_model: Callable[[], keras.Model],
    dataset: ImageDataset,
    out: str | os.PathLike[str],
    *,
    epochs: int,
    through: str | None = None,
    unfreeze_every: int | None = None,
    layer_decay: float = 1.0,
    stages: Mapping[str, str | Sequence[str]] | None = None,
    weight_decay_factors: Mapping[str, float] | None = None,
    optimizer: str = "sgd",
    learning_rate: float | None = None,
    keep_best: bool | None = None,
    source: str | None = None,
    **training: Any,
) -> FinetuneResult:
    """Trains a network that has weights further, on other data.

    With `unfreeze_every`, stages are unfrozen one after another, from the head down, as in
    [Howard and Ruder (2018)](https://arxiv.org/abs/1801.06146), section 3.3: the first phase trains
    the head alone, each further one a stage more, the last takes the epochs that are left. A phase
    is a training by itself, with its own warm-up and falling rate, and new momenta.

    Killed and called again with the same arguments, it goes on: finished phases are not run again,
    and the one that was stopped goes on after its last whole epoch.

    Args:
        build_model: Makes the network with its weights and a head for the data set's classes, from
            float32 images `(B, H, W, C)` with values 0..255 to probabilities. Called once a phase.
        dataset: What to train on.
        out: The run's folder, as `train` writes it, with `finetune.json` besides.
        epochs: Of all phases together.
        through: The last stage that stays frozen to the end; `None` for none. Frozen
            BatchNormalization runs in inference mode, so that its statistics stay, too.
        unfreeze_every: How many epochs each phase but the last has. `None`: one phase.
        layer_decay: The head has the whole learning rate, the stage before it this share of it, the
            one before that the square, and so on; as in
            [Clark et al. (2020)](https://arxiv.org/abs/2003.10555), appendix A, by stage.
        stages: As in `find_stages`.
        weight_decay_factors: Name of a stage -> what its weight decay is multiplied by.
        optimizer: `"sgd"` or `"adamw"`.
        learning_rate: The head's peak. `None` means a tenth of what `train` takes.
        keep_best: As in `train`, of the last phase; `None` does so but with `ema`.
        source: Where the weights are from, for the report.
        **training: Further arguments of `train`, but for `learning_rate_factors`. Phases follow
            each other in one process: `strategy` must be of one machine.

    Returns:
        A `FinetuneResult`.

    Raises:
        ValueError: If an argument is wrong, or `out` holds another unfinished fine-tuning.

    Example:

    >>> data = keras_attn.training.load_dataset("digits")
    >>> def build():
    ...     network = keras_attn.applications.CIFARResNet(20, include_preprocessing=True)
    ...     return keras_attn.finetune.replace_head(network, 10)
    >>> result = finetune(build, data, "runs/tuned", epochs=3, unfreeze_every=1, layer_decay=0.5)
    """
    if not isinstance(layer_decay, (int, float)) or not 0 < layer_decay <= 1:
        raise ValueError(
            f"`layer_decay` must be above 0 and at most 1. Received: layer_decay={layer_decay!r}"
        )
    if "learning_rate_factors" in training:
        raise ValueError("`learning_rate_factors` are made here: give `layer_decay` or `stages`")
    _check_strategy(training.get("strategy"))
    if keep_best is None:
        keep_best = training.get("ema") is None
    if learning_rate is None and optimizer in LEARNING_RATES:
        learning_rate = LEARNING_RATES[optimizer]
    out = Path(out)
    if training.get("resume") is False:
        shutil.rmtree(out / PHASES, ignore_errors=True)
    probe = build_model()
    found = find_stages(probe, stages)
    plan = _plan(list(found), epochs, through, unfreeze_every)
    report: dict[str, Any] = {
        "source": source,
        "network": probe.name,
        "stages": found,
        "phases": [],
    }
    del probe
    previous: Path | None = None
    for number, (phase_epochs, frozen_through) in enumerate(plan, start=1):
        is_last = number == len(plan)
        folder = out if is_last else out / PHASES / str(number)
        frozen = _until(list(found), frozen_through)
        phase = _Phase(found, frozen, layer_decay, weight_decay_factors or {})
        arguments = {
            "epochs": phase_epochs,
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "learning_rate_factors": phase.learning_rate_factors(),
            "weight_decay_factors": phase.weight_decay_factors(),
            "keep_best": keep_best and is_last,
            **training,
        }
        origin = {"source": source, "network": report["network"], "stages": found, "frozen": frozen}
        if not is_last:
            _keep_origin(out / PHASES / f"{number}.json", origin)
        done = None if is_last else _finished(folder, arguments, dataset)
        if done is None:
            trained = ", ".join(stage for stage in found if stage not in frozen)
            _LOG.info(
                "Phase %d/%d, epochs: %d, training %s", number, len(plan), phase_epochs, trained
            )
            result = train(
                _builder(build_model, frozen_through, stages, previous),
                dataset,
                folder,
                **arguments,
            )
            metrics, model = result.metrics, result.model
        else:
            model, metrics = done
        report["phases"].append(
            {
                "epochs": phase_epochs,
                "frozen": frozen,
                "trained": [stage for stage in found if stage not in frozen],
                "trainable_weights": _count(model.trainable_variables),
                "frozen_weights": _count(model.variables) - _count(model.trainable_variables),
                "learning_rates": phase.learning_rates(learning_rate or 0.0),
                "metrics": metrics,
            }
        )
        previous = folder
    text = json.dumps(report, indent=1) + "\n"
    (out / REPORT_FILE).write_text(text, encoding="utf-8")
    shutil.rmtree(out / PHASES, ignore_errors=True)
    return FinetuneResult(run=result, report=report)


@dataclasses.dataclass(frozen=True)
class _Phase:
    stages: dict[str, list[str]]
    frozen: list[str]
    layer_decay: float
    weight_decays: Mapping[str, float]

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


def _plan(
    stages: list[str], epochs: int, through: str | None, unfreeze_every: int | None
) -> list[tuple[int, str | None]]:
    """The phases: how many epochs, and through which stage is frozen."""
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


def _until(stages: list[str], through: str | None) -> list[str]:
    return stages[: stages.index(through) + 1] if through is not None else []


def _builder(
    build_model: Callable[[], keras.Model],
    through: str | None,
    stages: Mapping[str, str | Sequence[str]] | None,
    previous: Path | None,
) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        network = build_model()
        if previous is not None:
            network.set_weights(load_run(previous)[0].get_weights())
        freeze(network, through, stages)
        return network

    return build


def _finished(
    folder: Path, arguments: Mapping[str, Any], dataset: ImageDataset
) -> tuple[keras.Model, dict[str, float]] | None:
    """A phase that was run before, if it was this one."""
    if not (folder / "run.json").exists():
        return None
    model, record = load_run(folder)
    differing = [
        f"{name}: {record['arguments'].get(name)!r} there, {value!r} now"
        for name, value in arguments.items()
        if name in record["arguments"]
        and value is not None
        and not _same(record["arguments"][name], value)
    ]
    if record["data"]["fingerprint"] != dataset.fingerprint():
        differing.append("other data")
    _refuse(folder, differing)
    return model, record["metrics"]


def _keep_origin(path: Path, origin: Mapping[str, Any]) -> None:
    """Writes what a phase begins with, or compares it with what it began with before."""
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(origin))
        _refuse(path.parent, [f"another {name}" for name in now if before.get(name) != now[name]])
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


def _refuse(folder: Path, differing: Sequence[str]) -> None:
    if differing:
        raise ValueError(
            f"`out` holds another unfinished fine-tuning, in {folder}; give another folder, or "
            f"remove it. Received: {'; '.join(differing)}"
        )


def _check_strategy(strategy: Any) -> None:
    name = strategy if isinstance(strategy, str) else type(strategy).__name__
    if name.lower().replace("-", "").startswith(("multiworker", "parameterserver", "collective")):
        raise ValueError(
            "`strategy` must be of one machine: phases follow each other in one process. On "
            "several, `train` takes a `build_model` that freezes, and `learning_rate_factors`. "
            f"Received: strategy={strategy!r}"
        )


def _same(kept: Any, now: Any) -> bool:
    if not isinstance(now, str) and type(now).__name__ == kept:  # a strategy
        return True
    return kept == json.loads(json.dumps(now, default=str))


def _count(variables: Sequence[keras.Variable]) -> int:
    return int(sum(np.prod(variable.shape) for variable in variables))
