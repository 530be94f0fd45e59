"""Tables, and docstrings by their sections."""

from __future__ import annotations

import csv
import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECTION = re.compile(
    r"^(Args|Call arguments|Input shape|Output shape|Returns|Raises|Example|Attributes):$", re.M
)


def table(heading: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[int] = ()) -> str:
    """A table in Markdown.

    Args:
        heading: The columns' names.
        rows: The cells.
        right: Numbers of the columns that stand on the right.
    """
    rules = ["---:" if i in right else "---" for i in range(len(heading))]
    cells = [[str(cell).replace("|", r"\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heading, rules, *cells]) + "\n"


def sections(of: Any) -> dict[str, str]:
    """A docstring's sections by their names; what stands before them as `""`."""
    first, *rest = SECTION.split(inspect.getdoc(of) or "")
    texts = dict(zip(rest[::2], rest[1::2], strict=True))
    return {"": first.strip()} | {name: inspect.cleandoc(text) for name, text in texts.items()}


def paragraphs(text: str) -> str:
    """Notes whose further lines are indented, as a list."""
    lines = text.strip().replace("\n  ", " ").splitlines()
    return "\n".join(f"- {line[0].upper()}{line[1:]}" for line in lines) + "\n"


def read_csv(path: str) -> list[dict[str, str]]:
    """The rows of a CSV of the repository."""
    with open(ROOT / path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
