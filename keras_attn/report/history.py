"""The history of a run, finished or not."""

from __future__ import annotations

import os
from pathlib import Path

from keras_attn.training.run_folder import history
from keras_attn.training.run_folder.files import HISTORY_FILE, UNFINISHED


def read_history(folder: str | os.PathLike[str]) -> dict[str, list[float | None]] | None:
    """What each epoch of a run gave, by quantity; `None` where the folder has no history.

    Raises:
        ValueError: If the file is no run's history.
    """
    for path in (Path(folder, HISTORY_FILE), Path(folder, UNFINISHED, HISTORY_FILE)):
        if path.exists():
            return history.read_history(path)
    return None
