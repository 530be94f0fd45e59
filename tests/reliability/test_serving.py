"""The trials of serving, in seconds: none is lost."""

from __future__ import annotations

import pytest

from benchmarks.reliability import serving


@pytest.mark.slow
def test_nothing_is_lost(tmp_path):
    trials = list(serving.trials(tmp_path, quick=True))
    assert len(trials) == 2
    for trial in trials:
        assert trial.tried == trial.survived > 0, trial
        assert (trial.lost, trial.wrong) == (0, 0), trial
