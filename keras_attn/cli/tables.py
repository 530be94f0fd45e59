"""Tables: drawn to fit a terminal, in plain columns for a pipe, or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def print_json(value: Any) -> None:
    """Prints a value for programs."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_table(
    rows: Sequence[Mapping[str, str]],
    *,
    narrow: Sequence[str],
    notes: str = "",
    right: str = "",
    is_headed: bool = True,
) -> None:
    """Prints rows of the same columns.

    Args:
        rows: Heading -> cell.
        narrow: Headings of the columns that a terminal has room for, each on as many lines as it
            needs. A pipe gets all columns, and a line for each row.
        notes: Lines below the table.
        right: Headings of the columns that stand on the right, with commas between.
        is_headed: Whether a pipe gets the headings, too.
    """
    rights = set(right.split(","))
    if sys.stdout.isatty():
        _draw(rows, narrow, rights, notes)
        return
    headings = list(rows[0]) if rows else list(narrow)
    lines = [headings, *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines if is_headed else lines[1:]:
        cells = [
            cell.rjust(width) if heading in rights else cell.ljust(width)
            for heading, cell, width in zip(headings, line, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())
    if notes:
        print(notes)


def _draw(
    rows: Sequence[Mapping[str, str]], narrow: Sequence[str], rights: set[str], notes: str
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(narrow):
        table.add_column(
            heading,
            justify="right" if heading in rights else "left",
            no_wrap=i == 0,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(row[heading] for heading in narrow))
    console = Console(markup=False, highlight=False)
    console.print(table)
    if notes:
        console.print(notes.strip("\n"), style="dim")
