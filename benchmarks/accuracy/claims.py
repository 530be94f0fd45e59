"""What the papers say, beside what the trainings of `queue.toml` say, with a test of significance.

A claim compares the test accuracies of two trainings over their seeds, by Welch's t-test,
two-sided: below a probability of 0.05 the seeds don't explain the difference.
"""

from __future__ import annotations

import statistics
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy.trainings import QUEUE

SIGNIFICANT = 0.05
Name = tuple[str, str]  # of a training and of its network


@dataclass(frozen=True)
class Claim:
    """A question, what a paper answers, and the two trainings that ask it.

    Attributes:
        asks: Whether one is ahead of the other.
        paper: Authors, conference and year.
        answer: The paper's answer.
        one: Training and network that might be ahead.
        other: Training and network that it is compared with.
    """

    asks: str
    paper: str
    answer: bool
    one: Name
    other: Name


@dataclass(frozen=True)
class Finding:
    """What two trainings say.

    Attributes:
        difference: Mean accuracy of the one, less that of the other; in points of percent.
        probability: How likely chance makes a difference so great, by Welch's t-test.
    """

    difference: float
    probability: float

    @property
    def answer(self) -> str:
        """In words."""
        if not self.probability < SIGNIFICANT:
            return "not told apart"
        return "ahead" if self.difference > 0 else "behind"


def read_claims(path: Path = QUEUE) -> list[Claim]:
    """All claims, in order."""
    claims = tomllib.loads(path.read_text(encoding="utf-8"))["claim"]
    return [Claim(**{**each, "one": tuple(each["one"]), "other": tuple(each["other"])})
            for each in claims]  # fmt: skip


def compare(one: Sequence[float], other: Sequence[float]) -> Finding | None:
    """Compares accuracies over seeds, shares of 1; `None` where one of them has no two seeds."""
    from scipy.stats import ttest_ind

    if min(len(one), len(other)) < 2:
        return None
    difference = 100 * (statistics.mean(one) - statistics.mean(other))
    tested: Any = ttest_ind(one, other, equal_var=False)
    return Finding(difference, float(tested.pvalue))
