"""Runs that each write a row, and are not run again."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def steps_and_seeds(doc: str, steps: int, **choices: Sequence[str]) -> argparse.Namespace:
    """The command line of a benchmark that has these options, and choices whose first is usual."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("--steps", type=int, default=steps, help="default: %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    for name, values in choices.items():
        parser.add_argument(
            f"--{name}", choices=values, default=values[0], help="default: %(default)s"
        )
    return parser.parse_args()
