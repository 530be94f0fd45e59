"""Real processes are killed at random moments, and started again with the same command."""

import random
import time

import numpy as np
import pytest

from benchmarks.reliability.training_process import (
    EPOCHS,
    Training,
    epochs_done,
    free_ports,
    two_workers,
    wait_until,
)
from keras_attn.training import load_run


def weights(out):
    model, record = load_run(out)
    return model.get_weights(), record


def check_equal(out, reference):
    ours, record = weights(out)
    theirs, of_reference = weights(reference)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    assert record["metrics"]["accuracy"] == of_reference["metrics"]["accuracy"]
    lines = [(path / "history.csv").read_text().splitlines() for path in (out, reference)]
    assert len(lines[0]) == len(lines[1]) == EPOCHS + 1
    assert not (out / "unfinished").exists()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    process = Training(out)
    text = process.finish()
    assert process.returncode == 0, text
    return out


@pytest.mark.slow
def test_a_killed_training_goes_on(uninterrupted, tmp_path):
    out = tmp_path / "run"
    process = Training(out)
    wait_until(lambda: epochs_done(out) or process.returncode is not None)
    process.kill()
    text = process.finish()
    assert process.returncode == -9, text
    assert not (out / "model.keras").exists()
    process = Training(out)
    text = process.finish()
    assert process.returncode == 0, text
    assert "Epoch 1/" not in text and f"Epoch {EPOCHS}/{EPOCHS}" in text
    check_equal(out, uninterrupted)


def killed_after(process, out, seconds):
    """Kills it so long after the first epoch was written; False if it has ended before."""
    wait_until(lambda: epochs_done(out) or process.returncode is not None)
    time.sleep(seconds)
    if process.returncode is not None:
        return False
    process.kill()
    process.finish()
    return True


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments(uninterrupted, tmp_path, seed):
    out, dice = tmp_path / "run", random.Random(seed)
    for kill in range(4):
        process = Training(out)
        if kill == 3 or not killed_after(process, out, dice.uniform(0, 6 if kill else 1.5)):
            break
    text = process.finish()
    assert process.returncode == 0, text
    check_equal(out, uninterrupted)


@pytest.fixture(scope="module")
def uninterrupted_workers(tmp_path_factory):
    # Not one device's: rounding alone, in another order, makes 1e-3 of 20 steps at such a rate.
    out = tmp_path_factory.mktemp("workers") / "run"
    for process in two_workers(out, "--synchronized"):
        text = process.finish()
        assert process.returncode == 0, text
    return out


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_stops_the_other_and_all_go_on(uninterrupted_workers, tmp_path, victim):
    out = tmp_path / "run"
    processes = two_workers(out, "--synchronized")
    wait_until(lambda: epochs_done(out) or any(p.returncode is not None for p in processes))
    time.sleep(random.Random(victim).uniform(0, 2))
    processes[victim].kill()
    processes[victim].finish()
    text = processes[1 - victim].finish(timeout=120)
    assert processes[1 - victim].returncode == 1, text
    assert f"error: worker {victim} (localhost:" in text, text
    assert "Start all workers again with the same command" in text
    assert not (out / "model.keras").exists()
    processes = two_workers(out, "--synchronized")
    for process in processes:
        text = process.finish()
        assert process.returncode == 0, text
        assert "Epoch 1/" not in text
    check_equal(out, uninterrupted_workers)


@pytest.mark.slow
def test_a_worker_that_never_comes_is_named(tmp_path):
    own, other = free_ports(2)
    process = Training(
        tmp_path / "run", "--strategy", "multi-worker", "--worker-timeout", "1",
        tf_config={
            "cluster": {"worker": [f"localhost:{own}", f"localhost:{other}"]},
            "task": {"type": "worker", "index": 0},
        },
    )  # fmt: skip
    text = process.finish()
    assert process.returncode == 1
    assert f"worker 1 (localhost:{other}) did not come within 1 s" in text
    assert not (tmp_path / "run").exists()
