"""A run's folder: `model.keras`, `history.csv` and `run.json`, each whole or not there."""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from keras_attn._version import __version__
from keras_attn.training.callbacks import BEST_FILE, write_history
from keras_attn.training.image_dataset import ImageDataset
from keras_attn.weights.keras_archive import check_keras_archive

MODEL_FILE = "model.keras"
HISTORY_FILE = "history.csv"
RUN_FILE = "run.json"


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a training gave.

    Attributes:
        model: The trained model.
        history: For each quantity of Keras's log (`loss`, `accuracy`, `val_loss`,
            `val_accuracy`), its value in each epoch; `None` where none was taken.
        metrics: `loss` and `accuracy` of the trained model on the held-out images.
        paths: Where the files are: `"model"`, `"history"` and `"run"`, and `"best"` where it was
            kept.
    """

    model: keras.Model
    history: dict[str, list[float | None]]
    metrics: dict[str, float]
    paths: dict[str, Path]


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
        out: The folder; made if it is not there.
        model: Goes to `model.keras`, with its optimizer's state.
        history: Goes to `history.csv`: a line for each epoch, counted from 1.
        metadata: Goes to `run.json`.
        best: Where the network of the best epoch is, which goes to `best.keras`.
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
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=out) as beside:
        model.save(Path(beside, MODEL_FILE))
        write_history(Path(beside, HISTORY_FILE), history)
        text = json.dumps(metadata, indent=2, allow_nan=False) + "\n"
        Path(beside, RUN_FILE).write_text(text, encoding="utf-8")
        for path in paths.values():
            os.replace(Path(beside, path.name), path)
    if best is None:
        (out / BEST_FILE).unlink(missing_ok=True)  # an earlier run's
    else:
        os.replace(best, out / BEST_FILE)
    return with_best


def load_run(folder: str | os.PathLike[str]) -> tuple[keras.Model, dict[str, Any]]:
    """Reads a run's folder back.

    Args:
        folder: A folder that `train` wrote.

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
    if not folder.is_dir():
        raise FileNotFoundError(
            "`folder` must be the folder of a run, as `train` writes it. "
            f"Received: folder={os.fspath(folder)!r}, which is not there"
        )
    for name in (RUN_FILE, MODEL_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                "`folder` must be the folder of a run, as `train` writes it. "
                f"Received: folder={os.fspath(folder)!r}, which has no {name}"
            )
    try:
        metadata = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder / RUN_FILE} is not valid JSON: {error}") from error
    data = metadata.get("data") if isinstance(metadata, dict) else None
    if not isinstance(data, dict) or "class_names" not in data:
        raise ValueError(f"{folder / RUN_FILE} is not a run's: it has no `data.class_names`")
    check_keras_archive(folder / MODEL_FILE)
    try:
        model = keras.saving.load_model(folder / MODEL_FILE, compile=False)
    except Exception as error:  # a damaged zip, a missing entry, an unknown layer, ...
        reason = str(error).strip().splitlines()
        raise ValueError(
            f"{folder / MODEL_FILE} can't be read as a Keras model: "
            f"{reason[0] if reason else type(error).__name__}"
        ) from error
    return model, metadata


def describe_run(
    dataset: ImageDataset,
    model: keras.Model,
    *,
    arguments: Mapping[str, Any],
    replicas: int,
    seconds: float,
    metrics: Mapping[str, float],
) -> dict[str, Any]:
    """Gathers what `run.json` records.

    Args:
        dataset: What was trained on.
        model: What was trained.
        arguments: What `train` was asked for, defaults filled in.
        replicas: How many replicas the strategy had.
        seconds: How long the training took.
        metrics: The final ones.

    Returns:
        A dictionary that JSON can hold.
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "arguments": dict(arguments),
        "data": {
            "name": dataset.name,
            "class_names": list(dataset.class_names),
            "image_shape": list(dataset.image_shape),
            "train_size": dataset.train_size,
            "test_size": dataset.test_size,
            "seed": dataset.seed,
            "options": dict(dataset.options),
            "fingerprint": dataset.fingerprint(),
        },
        "model": {"name": model.name, "parameters": model.count_params()},
        "replicas": replicas,
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            **_backend_version(),
            "keras_attn": __version__,
        },
        "hardware": {
            "platform": platform.platform(),
            "cpu_count": os.cpu_count(),
            "gpus": _gpus(),
        },
        "seconds": round(seconds, 1),
        "metrics": dict(metrics),
    }


def _backend_version() -> dict[str, str]:
    name = keras.backend.backend()
    return {name: importlib.metadata.version(name)}


def _gpus() -> list[str]:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ]
    return [device for device in keras.distribution.list_devices() if "cpu" not in device]
