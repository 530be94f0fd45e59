"""The history of a run, as the charts take it."""

from __future__ import annotations

import csv
import os
from pathlib import Path


def read_history(folder: str | os.PathLike[str]) -> dict[str, list[float | None]] | None:
    """What each epoch of a run gave, finished or not; `None` where the folder has no history."""
    for path in (Path(folder, "history.csv"), Path(folder, "unfinished", "history.csv")):
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            return {
                name: [float(row[name]) if row[name] else None for row in rows]
                for name in (rows[0] if rows else ())
            }
    return None
