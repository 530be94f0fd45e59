"""The trials of weights, in seconds: none is lost."""

from __future__ import annotations

import pytest

from benchmarks.reliability import weights


@pytest.mark.slow
def test_nothing_is_lost(tmp_path):
    (trial,) = weights.trials(tmp_path, quick=True)
    assert trial.tried == trial.survived >= weights.QUICK_FILES, trial
    assert (trial.lost, trial.wrong) == (0, 0), trial
