"""The trials of `benchmarks/reliability/training.py`, one of each."""

import pytest

from benchmarks.reliability.training import trials


@pytest.mark.slow
def test_nothing_is_lost(tmp_path):
    found = list(trials(tmp_path, quick=True))
    assert len(found) == 3
    for trial in found:
        assert (trial.survived, trial.lost, trial.wrong) == (trial.tried, 0, 0), trial


@pytest.mark.slow
def test_nothing_is_lost_in_minutes(tmp_path):
    for trial in trials(tmp_path, quick=False):
        assert (trial.survived, trial.lost, trial.wrong) == (trial.tried, 0, 0), trial
