"""What came of one kind of trial."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Trial:
    """What came of one kind of trial, such as a killed download.

    Attributes:
        part: The part of the library: `"weights"`, `"training"`, `"export"`, ...
        name: Name of the trial, which says what was done.
        tried: How often.
        survived: How often all was right afterwards.
        lost: How often work or a file was lost, or the process died, hung or took too much.
        wrong: How often a value or the kind of an error was wrong.
        seconds: Time of the whole trial.
        note: The first thing that went wrong, or what else is to know.
    """

    part: str
    name: str
    tried: int
    survived: int
    lost: int
    wrong: int
    seconds: float
    note: str = ""


def progress(part: str, name: str, done: int, of: int) -> None:
    """Says on the standard error that the next one of some attempts begins.

    Args:
        part: The part of the library.
        name: Name of the trial, which says what is done.
        done: How many attempts have ended.
        of: How many there will be.
    """
    clock = time.strftime("%H:%M:%S")
    print(f"{clock} {part}: {name}, {done + 1} of {of}", file=sys.stderr, flush=True)
