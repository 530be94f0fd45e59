"""A run's folder: `model.keras`, `history.csv` and `run.json`, each whole or not there."""

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from keras_attn._staging import staging
from keras_attn.training.run_folder.files import (
    BEST_FILE,
    FINETUNE_FILE,
    HISTORY_FILE,
    MODEL_FILE,
    RUN_FILE,
    check_run_folder,
    write_text,
)
from keras_attn.training.run_folder.history import read_history, write_history
from keras_attn.training.run_folder.record import read_record
from keras_attn.weights.formats.keras_archive import check_keras_archive


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a training gave.

    Attributes:
        model: Trained model.
        history: Quantity of Keras's log (`loss`, `accuracy`, `val_loss`, `val_accuracy`) -> its
            value in each epoch; `None` where none was taken.
        metrics: `loss` and `accuracy` of the trained model on the held-out images.
        paths: Paths of the files: `"model"`, `"history"` and `"run"`, and `"best"` where it was
            kept.
        was_finished: Whether the folder held this run already, so that nothing was trained.
    """

    model: keras.Model
    history: dict[str, list[float | None]]
    metrics: dict[str, float]
    paths: dict[str, Path]
    was_finished: bool = False


def save_run(
    out: str | os.PathLike[str],
    model: keras.Model,
    *,
    history: Mapping[str, list[float | None]],
    metadata: Mapping[str, Any],
    best: Path | None = None,
    write: bool = True,
) -> dict[str, Path]:
    """Writes a run's three files into a folder.

    They are written whole under other names and then moved into place together, so that a run that
    fails leaves nothing behind and an earlier run in the folder as it was.

    Args:
        out: Folder of the run, which is made if it is not there.
        model: Network for `model.keras`, with its optimizer's state.
        history: Values for `history.csv`: a line for each epoch, counted from 1.
        metadata: Record for `run.json`.
        best: File with the network of the best epoch, for `best.keras`.
        write: Whether it is this process that writes; the others only learn the paths.

    Returns:
        The paths of the files: `"model"`, `"history"`, `"run"`, and `"best"` if there is one.

    Raises:
        OSError: If the folder can't be written, or the disk is full.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    paths = {"model": out / MODEL_FILE, "history": out / HISTORY_FILE, "run": out / RUN_FILE}
    with_best = {**paths, "best": out / BEST_FILE} if best is not None else paths
    if not write:
        return with_best
    try:
        with staging(out / RUN_FILE) as beside:
            model.save(beside / MODEL_FILE)
            write_history(beside / HISTORY_FILE, history)
            text = json.dumps(metadata, indent=2, allow_nan=False) + "\n"
            write_text(beside / RUN_FILE, text)
            if best is not None:
                shutil.copyfile(best, beside / BEST_FILE)
            # From here on no earlier run is in the folder: killed in between, the training is
            # unfinished, and its last state is there.
            for name in (RUN_FILE, FINETUNE_FILE, BEST_FILE):
                (out / name).unlink(missing_ok=True)
            for name in ("model", "history", *(["best"] if best is not None else []), "run"):
                os.replace(beside / with_best[name].name, with_best[name])
    except OSError as error:
        raise OSError(
            error.errno,
            f"The run could not be written into {out}: {error.strerror or error}. The state after "
            "the last epoch is whole; started again, the training ends from there.",
        ) from error
    return with_best


def load_run(folder: str | os.PathLike[str]) -> tuple[keras.Model, dict[str, Any]]:
    """Reads a run's folder back.

    Args:
        folder: Folder that `train` wrote.

    Returns:
        The model, not compiled, and the contents of `run.json`. The names of the classes are
        `metadata["data"]["class_names"]`.

    Raises:
        FileNotFoundError: If the folder, its `model.keras` or its `run.json` isn't there.
        ValueError: If one of these files can't be read.

    Example:
        >>> model, metadata = load_run("runs/digits")
        >>> metadata["data"]["class_names"]
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']
    """
    folder = Path(folder)
    check_run_folder(folder)
    metadata = read_record(folder / RUN_FILE)
    try:
        check_keras_archive(folder / MODEL_FILE)
        model = keras.saving.load_model(folder / MODEL_FILE, compile=False)
    except MemoryError:
        raise
    except Exception as error:  # a damaged zip, a missing entry, an unknown layer, ...
        reason = str(error).strip().splitlines()
        raise ValueError(
            f"{folder / MODEL_FILE} can't be read as a Keras model: "
            f"{reason[0] if reason else type(error).__name__}"
        ) from error
    return model, metadata


def load_result(folder: Path, record: Mapping[str, Any]) -> TrainResult:
    """The result of the finished run in a folder; its model is not compiled.

    Raises:
        OSError: If a file can't be read.
        ValueError: If one of them is damaged.
    """
    history = read_history(folder / HISTORY_FILE)
    epochs = record.get("epochs", record["arguments"].get("epochs"))
    if {len(values) for values in history.values()} != {epochs}:
        found = len(next(iter(history.values())))
        raise ValueError(f"{folder / HISTORY_FILE} has {found} of {epochs} epochs")
    model, _ = load_run(folder)
    names = {"model": MODEL_FILE, "history": HISTORY_FILE, "run": RUN_FILE}
    if "best" in record:
        names["best"] = BEST_FILE
    return TrainResult(
        model=model,
        history=history,
        metrics=dict(record["metrics"]),
        paths={kind: folder / name for kind, name in names.items()},
        was_finished=True,
    )
