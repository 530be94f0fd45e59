"""Runs that each write a row, and are not run again."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.measuring import save


def run_missing(
    path: Path, runs: Iterable[Mapping[str, Any]], run: Callable[..., Mapping[str, Any]]
) -> None:
    """Runs what the file has no row of, and writes each row as soon as it is there.

    Args:
        path: The CSV.
        runs: Of each run the columns that tell it from others, which are the arguments of `run`.
        run: Gives the row's other columns.
    """
    there: list[dict[str, str]] = []
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            there = list(csv.DictReader(file))
    for given in runs:
        if any(all(row[key] == str(value) for key, value in given.items()) for row in there):
            continue
        row = {**given, **run(**given)}
        print(*row.values(), flush=True)
        save(path, [row], "keras", "tensorflow", append=True)
