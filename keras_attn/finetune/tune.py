"""Fine-tuning: trainings one after another, each of which trains more stages than the last."""

import dataclasses
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_attn.finetune.earlier import (
    PHASES,
    discard_phases,
    finished_phase,
    keep_origin,
    read_report,
)
from keras_attn.finetune.phases import Phase, plan_phases
from keras_attn.finetune.stages import find_stages, freeze
from keras_attn.training import ImageDataset, TrainResult, load_run, train
from keras_attn.training.run_folder.architecture import name_of
from keras_attn.training.run_folder.files import FINETUNE_FILE, RUN_FILE, write_whole
from keras_attn.training.run_folder.ownership import owned

_LOG = logging.getLogger(__name__)

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
    and the one that was stopped goes on after its last whole epoch. Once it has ended, the same
    call gives the result again and trains nothing.

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
        ValueError: If an argument is wrong, `out` holds another fine-tuning or training,
            finished or not, or another process trains there.

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
    probe = build_model()
    found = find_stages(probe, stages)
    phases = [
        Phase(phase_epochs, frozen_through, found, layer_decay, weight_decay_factors or {})
        for phase_epochs, frozen_through in plan_phases(
            list(found), epochs, through, unfreeze_every
        )
    ]
    origin = {"source": source, "network": name_of(probe.name), "stages": found}
    del probe
    arguments = [
        {
            "epochs": phase.epochs,
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "learning_rate_factors": phase.learning_rate_factors(),
            "weight_decay_factors": phase.weight_decay_factors(),
            "keep_best": keep_best and phase is phases[-1],
            **training,
        }
        for phase in phases
    ]
    known = [
        {
            "epochs": phase.epochs,
            "frozen": phase.frozen,
            "trained": phase.trained,
            "learning_rates": phase.learning_rates(learning_rate or 0.0),
        }
        for phase in phases
    ]
    with owned(out):
        if not training.get("overwrite") and (out / RUN_FILE).exists():
            report = read_report(out, {**origin, "phases": known})
            # Refuses another run; of this one's, the files are whole and no phase is needed.
            build = _builder(build_model, phases[-1].through, stages, None)
            result = train(build, dataset, out, **arguments[-1])
            if report is not None:
                return FinetuneResult(run=result, report=report)
        if training.get("resume") is False:
            discard_phases(out)
        previous: Path | None = None
        reports = []
        for number, phase in enumerate(phases, start=1):
            is_last = number == len(phases)
            folder = out if is_last else out / PHASES / str(number)
            if not is_last:
                path = out / PHASES / f"{number}.json"
                keep_origin(path, {**origin, "frozen": phase.frozen})
            done = None if is_last else finished_phase(folder, arguments[number - 1], dataset)
            if done is None:
                _LOG.info(
                    "Phase %d/%d, epochs: %d, training %s",
                    number, len(phases), phase.epochs, ", ".join(phase.trained),
                )  # fmt: skip
                result = train(
                    _builder(build_model, phase.through, stages, previous),
                    dataset,
                    folder,
                    **arguments[number - 1],
                )
                done = result.model, result.metrics
            model, metrics = done
            trainable = _count(model.trainable_variables)
            reports.append(
                {
                    **known[number - 1],
                    "trainable_weights": trainable,
                    "frozen_weights": _count(model.variables) - trainable,
                    "metrics": metrics,
                }
            )
            previous = folder
        report = {**origin, "phases": reports}
        write_whole(out / FINETUNE_FILE, json.dumps(report, indent=1) + "\n")
        discard_phases(out)
    return FinetuneResult(run=result, report=report)


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


def _check_strategy(strategy: Any) -> None:
    name = strategy if isinstance(strategy, str) else type(strategy).__name__
    if name.lower().replace("-", "").startswith(("multiworker", "parameterserver", "collective")):
        raise ValueError(
            "`strategy` must be of one machine: phases follow each other in one process. On "
            "several, `train` takes a `build_model` that freezes, and `learning_rate_factors`. "
            f"Received: strategy={strategy!r}"
        )


def _count(variables: Sequence[keras.Variable]) -> int:
    return int(sum(np.prod(variable.shape) for variable in variables))
