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

from keras_attn.data.given import Images, as_dataset
from keras_attn.finetune.earlier import (
    PHASES,
    discard_phases,
    finished_phase,
    keep_origin,
    read_report,
)
from keras_attn.finetune.phases import Phase, plan_phases
from keras_attn.finetune.stages import find_stages, freeze
from keras_attn.training import TrainingConfig, TrainResult, load_run, train
from keras_attn.training.options import takes_options
from keras_attn.training.placement.strategy import kind_for
from keras_attn.training.run_folder.architecture import name_of
from keras_attn.training.run_folder.files import FINETUNE_FILE, RUN_FILE, write_text
from keras_attn.training.run_folder.ownership import owned
from keras_attn.training.settings import as_weights_ask

Stages = Mapping[str, str | Sequence[str]] | None
_LOG = logging.getLogger(__name__)

# For batches of 128, where a training from nothing takes 0.1 and 1e-3.
LEARNING_RATES = {"sgd": 0.01, "adamw": 1e-4}


@dataclasses.dataclass(frozen=True)
class FinetuneResult:
    """What a fine-tuning gave.

    Attributes:
        run: Result of the last phase: the network, its history, its metrics, its files.
        report: Contents of `finetune.json`: the stages, and for each phase what was frozen and
            trained, at which rates, and how it did.
    """

    run: TrainResult
    report: dict[str, Any]


@takes_options(TrainingConfig, but=["learning_rate_factors"])
def finetune(
    build_model: Callable[[], keras.Model],
    dataset: Images,
    out: str | os.PathLike[str],
    config: TrainingConfig | None = None,
    *,
    through: str | None = None,
    unfreeze_every: int | None = None,
    layer_decay: float = 1.0,
    stages: Stages = None,
    keep_best: bool | None = None,
    source: str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    resume: bool = True,
    overwrite: bool = False,
    **options: Any,
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
        build_model: Function that makes the network with its weights and a head for the data set's
            classes, from float32 images `(B, H, W, C)` with values 0..255 to probabilities. Called
            once a phase.
        dataset: Same as in `train`.
        out: Folder of the run, as `train` writes it, with `finetune.json` besides.
        config: Options of the training, of which `epochs` are of all phases together. `None` means
            that they are all given by name.
        through: Last stage that stays frozen to the end; `None` for none. Frozen
            BatchNormalization runs in inference mode, so that its statistics stay, too.
        unfreeze_every: Number of epochs that each phase but the last has. `None`: one phase.
        layer_decay: Share of the head's learning rate that the stage before it has; the one before
            that has the square of it, and so on; as in
            [Clark et al. (2020)](https://arxiv.org/abs/2003.10555), appendix A, by stage.
        stages: Same as in `find_stages`.
        keep_best: Same as in `train`, of the last phase, whatever `config` says; `None` does so
            but with `ema`.
        source: Place that the weights are from, for the report.
        callbacks: Same as in `train`.
        resume: Same as in `train`.
        overwrite: Same as in `train`.
        **options: Options of `TrainingConfig` by name, which go before those of `config`. Here
            `learning_rate` is the head's peak, by default a tenth of what `train` takes; there are
            no `learning_rate_factors`, and `weight_decay_factors` are by the names of stages.
            Phases follow each other in one process: `strategy` must be of one machine.

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
    dataset = as_dataset(dataset)
    config = _config(config, options, keep_best).for_images(dataset.train_size)
    out = Path(out)
    probe = build_model()
    dataset = as_weights_ask(dataset, probe)
    plan = _plan(probe, config, stages, through, unfreeze_every, layer_decay)
    origin = {"source": source, "network": name_of(probe.name), "stages": plan[0].stages}
    del probe
    configs = [phase.config(config, is_last=phase is plan[-1]) for phase in plan]
    known = [phase.report(config.learning_rate or 0.0) for phase in plan]
    arguments: dict[str, Any] = {
        "callbacks": callbacks, "resume": resume, "overwrite": overwrite,
    }  # fmt: skip
    with owned(out):
        if not overwrite and (out / RUN_FILE).exists():
            report = read_report(out, {**origin, "phases": known})
            # Refuses another run; of this one's, the files are whole and no phase is needed.
            build = _builder(build_model, plan[-1].through, stages, None)
            result = train(build, dataset, out, configs[-1], **arguments)
            if report is not None:
                return FinetuneResult(run=result, report=report)
        if not resume:
            discard_phases(out)
        previous: Path | None = None
        reports = []
        for number, phase in enumerate(plan, start=1):
            phase_config, folder, done = configs[number - 1], out, None
            if number < len(plan):
                folder = out / PHASES / str(number)
                keep_origin(folder.with_suffix(".json"), {**origin, "frozen": phase.frozen})
                done = finished_phase(folder, phase_config.record(), dataset)
            if done is None:
                _LOG.info(
                    "Phase %d/%d, epochs: %d, training %s",
                    number, len(plan), phase.epochs, ", ".join(phase.trained),
                )  # fmt: skip
                build = _builder(build_model, phase.through, stages, previous)
                result = train(build, dataset, folder, phase_config, **arguments)
                done = result.model, result.metrics
            reports.append({**known[number - 1], **_outcome(*done)})
            previous = folder
        report = {**origin, "phases": reports}
        write_text(out / FINETUNE_FILE, json.dumps(report, indent=1) + "\n")
        discard_phases(out)
    # The last phase is always trained here.
    return FinetuneResult(run=result, report=report)  # pyright: ignore[reportPossiblyUnboundVariable]


def _config(
    config: TrainingConfig | None, options: Mapping[str, Any], keep_best: bool | None
) -> TrainingConfig:
    """The checked options of all phases together, with the rates of a fine-tuning."""
    config = TrainingConfig.of(config, options)
    if "learning_rate_factors" in options or config.learning_rate_factors:
        raise ValueError("`learning_rate_factors` are made here: give `layer_decay` or `stages`")
    if not kind_for(config.strategy).of_one_machine:
        raise ValueError(
            "`strategy` must be of one machine: phases follow each other in one process. On "
            "several, `train` takes a `build_model` that freezes, and `learning_rate_factors`. "
            f"Received: strategy={config.strategy!r}"
        )
    rate = config.learning_rate
    return dataclasses.replace(
        config,
        learning_rate=LEARNING_RATES[config.optimizer] if rate is None else rate,
        keep_best=config.ema is None if keep_best is None else keep_best,
    )


def _plan(
    network: keras.Model,
    config: TrainingConfig,
    stages: Stages,
    through: str | None,
    unfreeze_every: int | None,
    layer_decay: float,
) -> list[Phase]:
    """The phases, from the first to the last."""
    found = find_stages(network, stages)
    decays = config.weight_decay_factors or {}
    planned = plan_phases(list(found), config.epochs, through, unfreeze_every)
    return [Phase(epochs, frozen, found, layer_decay, decays) for epochs, frozen in planned]


def _outcome(model: keras.Model, metrics: dict[str, float]) -> dict[str, Any]:
    """What a report says of a phase that has ended."""
    trainable = _count(model.trainable_variables)
    return {
        "trainable_weights": trainable,
        "frozen_weights": _count(model.variables) - trainable,
        "metrics": metrics,
    }


def _builder(
    build_model: Callable[[], keras.Model],
    through: str | None,
    stages: Stages,
    previous: Path | None,
) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        network = build_model()
        if previous is not None:
            network.set_weights(load_run(previous)[0].get_weights())
        freeze(network, through, stages)
        return network

    return build


def _count(variables: Sequence[keras.Variable]) -> int:
    return int(sum(np.prod(variable.shape) for variable in variables))
