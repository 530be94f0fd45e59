"""`history.csv`: a line for each epoch of a training."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from keras_attn.training.run_folder.files import read_text, write_text


def write_history(path: Path, history: Mapping[str, list[float | None]]) -> None:
    """Writes a CSV file with a line for each epoch, counted from 1; empty where there is none."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["epoch", *history])
    rows = zip(*history.values(), strict=True)
    writer.writerows([epoch, *row] for epoch, row in enumerate(rows, start=1))
    write_text(path, file.getvalue())


def read_history(path: Path) -> dict[str, list[float | None]]:
    """Reads what `write_history` wrote.

    Raises:
        OSError: If the file can't be read.
        ValueError: If it is not such a file.
    """
    header, *rows = list(csv.reader(io.StringIO(read_text(path)))) or [[]]
    history: dict[str, list[float | None]] = {name: [] for name in header[1:]}
    whole = header[:1] == ["epoch"] and len(set(header)) == len(header) > 1
    for number, row in enumerate(rows, start=1):
        if not whole or len(row) != len(header) or row[0] != str(number):
            whole = False
            break
        for name, text in zip(header[1:], row[1:], strict=True):
            history[name].append(_number(path, text))
    if not whole:
        raise ValueError(f"{path} is not a run's history: a line for each epoch, counted from 1")
    return history


def _number(path: Path, text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError as error:
        raise ValueError(f"{path} is not a run's history: {text!r} is no number") from error
