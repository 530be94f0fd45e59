"""What an earlier call left of a fine-tuning: finished phases, a report, or another's."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_attn.training import ImageDataset, load_run
from keras_attn.training.run_folder.checkpoint import differences
from keras_attn.training.run_folder.files import FINETUNE_FILE, RUN_FILE, read_text, write_text
from keras_attn.training.run_folder.record import check_record

PHASES = "phases"
OF_A_PHASE = ("epochs", "frozen", "trained", "learning_rates")


def read_report(out: Path, plan: Mapping[str, Any]) -> dict[str, Any] | None:
    """The report of the fine-tuning that has ended in a folder, or `None` where there is none.

    Args:
        out: Folder of the run.
        plan: Report as it is before anything is trained.

    Raises:
        ValueError: If it is another's, or can't be read.
    """
    path = out / FINETUNE_FILE
    if not path.exists():
        return None
    report = _read_object(path)
    phases = report.get("phases")
    if not isinstance(phases, list) or not all(isinstance(phase, dict) for phase in phases):
        raise ValueError(f"{path} is not a fine-tuning's: it has no list of `phases`")
    known = {name: report.get(name) for name in plan}
    known["phases"] = [{name: phase.get(name) for name in OF_A_PHASE} for phase in phases]
    if differing := differences(known, plan):
        raise ValueError(
            f"`out` holds another finished fine-tuning: {'; '.join(differing)}. Give another "
            "folder, or `overwrite=True` to replace it. Received: "
            f"out={os.fspath(out)!r}"
        )
    return report


def discard_phases(out: Path) -> None:
    """Removes the phases of a fine-tuning, those that it wrote down alone."""
    folder = out / PHASES
    for origin in folder.glob("[0-9]*.json"):
        shutil.rmtree(origin.with_suffix(""), ignore_errors=True)
        origin.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def finished_phase(
    folder: Path, record: Mapping[str, Any], dataset: ImageDataset
) -> tuple[keras.Model, dict[str, float]] | None:
    """A phase that was run before, its network and its metrics; `None` where none was.

    Args:
        folder: Folder of the phase.
        record: Options of its training, as they are recorded.
        dataset: Images to train on.

    Raises:
        ValueError: If it was another's, or its files can't be read.
    """
    if not (folder / RUN_FILE).exists():
        return None
    model, earlier = load_run(folder)
    check_record(folder / RUN_FILE, earlier)
    asked = json.loads(json.dumps(record))  # as it would be read back
    differing = [
        f"{name}: {earlier['arguments'][name]!r} there, {value!r} now"
        for name, value in asked.items()
        if name in earlier["arguments"] and earlier["arguments"][name] != value
    ]
    if earlier["data"]["fingerprint"] != dataset.fingerprint():
        differing.append("other data")
    _refuse(folder, differing)
    return model, earlier["metrics"]


def keep_origin(path: Path, origin: Mapping[str, Any]) -> None:
    """Writes what a phase begins with, or compares it with what it began with before.

    Raises:
        ValueError: If that was something else.
    """
    if path.exists():
        before = _read_object(path)
        now = json.loads(json.dumps(origin))
        _refuse(path.parent, [f"another {name}" for name in now if before.get(name) != now[name]])
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(origin, indent=1) + "\n")


def _refuse(folder: Path, differing: Sequence[str]) -> None:
    if differing:
        raise ValueError(
            f"`out` holds another unfinished fine-tuning, in {folder}; give another folder, or "
            f"remove it. Received: {'; '.join(differing)}"
        )


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is not a fine-tuning's: it holds no JSON object")
    return value
