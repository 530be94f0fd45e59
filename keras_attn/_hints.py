"""What may have been meant by a name that nobody knows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def fold(name: str) -> str:
    """A name in small letters, with its letters, digits and points alone."""
    return re.sub(r"[^a-z0-9.]", "", name.lower())


def did_you_mean(name: object, known: Iterable[str], count: int = 1) -> str:
    """How an error ends that is about a name: with the nearest of the known ones, or not at all."""
    by_fold = {fold(each): each for each in known}
    near = difflib.get_close_matches(fold(str(name)), by_fold, n=count, cutoff=0.65)
    return f"; did you mean {' or '.join(by_fold[each] for each in near)}?" if near else ""
