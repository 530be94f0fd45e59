"""Which of many cases the fast suite tries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def rest_thorough(cases: Iterable[Any], fast: int = 1) -> list[Any]:
    """The cases of a `parametrize`, of which the first few are in the fast suite.

    Args:
        cases: Values; tuples of several arguments.
        fast: How many are in the fast suite. `make test-thorough` runs the others.
    """
    return [case if number < fast else thorough(case) for number, case in enumerate(cases)]


def thorough(case: Any) -> Any:
    """A case that `make test-thorough` runs, and not the fast suite."""
    if isinstance(case, type(pytest.param())):
        return pytest.param(*case.values, marks=[*case.marks, pytest.mark.thorough], id=case.id)
    return pytest.param(*case if isinstance(case, tuple) else (case,), marks=pytest.mark.thorough)
