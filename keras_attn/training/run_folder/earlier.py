"""What an earlier call left in a run's folder: a finished run, an unfinished one, other files."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_attn.training.placement.base import Placement
from keras_attn.training.run_folder import checkpoint
from keras_attn.training.run_folder.architecture import name_of
from keras_attn.training.run_folder.files import RUN_FILE, RUN_FILES
from keras_attn.training.run_folder.record import check_record, read_record
from keras_attn.training.run_folder.runs import TrainResult, load_result

_LOG = logging.getLogger(__name__)


def check_names(out: Path) -> None:
    """Raises a ValueError if what is to be a file is a folder in `out`, or the other way round."""
    for name in RUN_FILES:
        if (out / name).is_dir():
            raise ValueError(
                f"`out` must have no folder called {name}, where the file goes. Received: "
                f"out={os.fspath(out)!r}"
            )
    unfinished = out / checkpoint.FOLDER
    if unfinished.exists() and not unfinished.is_dir():
        raise ValueError(
            f"`out` must have no file called {checkpoint.FOLDER}, where the folder goes. "
            f"Received: out={os.fspath(out)!r}"
        )


def finished_run(
    out: Path, identity: Mapping[str, Any], placement: Placement
) -> TrainResult | None:
    """The result of the training that has ended in a folder, on all workers; `None` for none.

    Args:
        out: Folder of the run.
        identity: Options of the training, and what tells its network and data from others.
        placement: Place where it runs.

    Raises:
        ValueError: If the run is another's, or can't be read, or if there are files that `train`
            would replace and that are no run's.
    """
    refused: ValueError | OSError | None = None
    record: dict[str, Any] | None = None
    try:
        record = _record_of_same(out, identity)
    except (ValueError, OSError) as error:
        refused = error
    found = placement.gather(2 if refused else int(record is not None))
    if refused:
        raise refused
    if len(set(found)) > 1:
        raise ValueError(
            "`out` must be one folder that all workers reach: they find different runs there. "
            f"Received: out={os.fspath(out)!r}"
        )
    if record is None:
        return None
    with placement.scope():
        result = load_result(out, record)
    if placement.is_chief:
        _discard_what_led_here(out, identity)
        _LOG.info(
            "%s is finished already, with the same arguments (%s): nothing was trained",
            out, record.get("date", "no date"),
        )  # fmt: skip
    return result


def state_to_go_on_from(
    out: Path, identity: Mapping[str, Any], resume: bool, placement: Placement
) -> checkpoint.State | None:
    """The unfinished training's state, on all workers the same.

    Raises:
        ValueError: If it is another training's, or the workers find different ones.
    """
    if not resume:
        if placement.is_chief:
            checkpoint.discard_state(out)
        placement.gather(0)  # no other worker looks before that
        return None
    state = checkpoint.load_state(out)
    epochs = placement.gather(state.epoch if state else 0)
    if len(set(epochs)) > 1:
        found = ", ".join(f"worker {i}: epoch {epoch}" for i, epoch in enumerate(epochs))
        raise ValueError(
            "`out` must be one folder that all workers reach: they find checkpoints of different "
            f"epochs there ({found}). Received: out={os.fspath(out)!r}"
        )
    if state:
        checkpoint.check_arguments_agree(out, state, identity)
    return state


def _discard_what_led_here(out: Path, identity: Mapping[str, Any]) -> None:
    """Removes the state of the same training, which was killed when all else was written."""
    try:
        state = checkpoint.load_state(out)
    except ValueError:
        return
    if state and not checkpoint.differences(state.arguments, identity):
        checkpoint.discard_state(out)


def _record_of_same(out: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of a finished run with this identity, or `None` where there is no run."""
    path = out / RUN_FILE
    if not path.exists():
        others = [name for name in RUN_FILES if (out / name).exists()]
        if others and not checkpoint.has_state(out):  # else killed when it was nearly written
            raise ValueError(
                f"`out` must not hold another's files: there is {others[0]}, but no {RUN_FILE}. "
                "Give another folder, or `overwrite=True` to replace it. "
                f"Received: out={os.fspath(out)!r}"
            )
        return None
    record = read_record(path)
    check_record(path, record)
    before = {
        **record["arguments"],
        "network": name_of(record["model"]["name"]),
        "architecture": record.get("architecture"),
        "data": record["data"]["fingerprint"],
    }
    if before["architecture"] is None:  # of a version that didn't write it
        before["architecture"] = identity["architecture"]
    if differing := checkpoint.differences(before, identity):
        raise ValueError(
            f"`out` holds the finished run of a training with other arguments: "
            f"{'; '.join(differing)}. Give another folder, or `overwrite=True` to "
            f"replace it. Received: out={os.fspath(out)!r}"
        )
    return record
