"""The trials of `benchmarks/reliability/export.py`, one of each."""

import pytest

from benchmarks.reliability.export import trials


@pytest.mark.slow
def test_nothing_is_lost(tmp_path):
    found = list(trials(tmp_path, quick=True))
    assert [trial.name for trial in found] == ["killed", "two at once", "full disk"]
    for trial in found:
        assert (trial.survived, trial.lost, trial.wrong) == (trial.tried, 0, 0), trial


@pytest.mark.slow
def test_nothing_is_lost_in_minutes(tmp_path):
    for trial in trials(tmp_path, quick=False):
        assert (trial.survived, trial.lost, trial.wrong) == (trial.tried, 0, 0), trial
