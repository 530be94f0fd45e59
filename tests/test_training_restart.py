"""Real processes are killed at random moments, and started again with the same command."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from test_training_distributed import free_ports

from keras_attn.training import load_run

EPOCHS = 5


def command(out, *more, ema=0.9):
    average = [] if ema is None else ["--ema", str(ema)]
    return [
        sys.executable, "-m", "keras_attn.cli", "train", "--recipe", "digits_se_resnet8",
        "--limit", "128", "--image-size", "8", "--epochs", str(EPOCHS),
        "--batch-size", "32", "--evaluate-every", "5", "--out", str(out), *average, *more,
    ]  # fmt: skip


def start(out, *more, tf_config=None, **options):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("TF_CONFIG", None)
    if tf_config:
        environment["TF_CONFIG"] = json.dumps(tf_config)
    log = open(f"{out}-{time.time_ns()}.log", "w+")  # noqa: SIM115 - as long as the process
    process = subprocess.Popen(
        command(out, *more, **options), env=environment, stdout=log, stderr=subprocess.STDOUT
    )
    process.log = log
    return process


def finish(process, timeout=400):
    process.wait(timeout)
    process.log.seek(0)
    text = process.log.read()
    process.log.close()
    return text


def epochs_done(out):
    folder = out / "unfinished"
    return len(list(folder.glob("epoch-*.npz"))) if folder.is_dir() else 0


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
    process = start(out)
    text = finish(process)
    assert process.returncode == 0, text
    return out


def wait_until(condition, seconds=200):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_a_killed_training_goes_on(uninterrupted, tmp_path):
    out = tmp_path / "run"
    process = start(out)
    wait_until(lambda: epochs_done(out) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    text = finish(process)
    assert process.returncode == -signal.SIGKILL, text
    assert not (out / "model.keras").exists()
    process = start(out)
    text = finish(process)
    assert process.returncode == 0, text
    assert "Epoch 1/" not in text and f"Epoch {EPOCHS}/{EPOCHS}" in text
    check_equal(out, uninterrupted)


def killed_after(process, out, seconds):
    """Kills it so long after the first epoch was written; False if it has ended before."""
    wait_until(lambda: epochs_done(out) or process.poll() is not None)
    time.sleep(seconds)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    finish(process)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments(uninterrupted, tmp_path, seed):
    out, dice = tmp_path / "run", random.Random(seed)
    for kill in range(4):
        process = start(out)
        if kill == 3 or not killed_after(process, out, dice.uniform(0, 6 if kill else 1.5)):
            break
    text = finish(process)
    assert process.returncode == 0, text
    check_equal(out, uninterrupted)


def two_workers(out):
    workers = [f"localhost:{port}" for port in free_ports(2)]
    return [
        start(
            out, "--strategy", "multi-worker", "--synchronized",
            tf_config={
                "cluster": {"worker": workers},
                "task": {"type": "worker", "index": index},
            },
        )
        for index in range(2)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted_workers(tmp_path_factory):
    # Not one device's: rounding alone, in another order, makes 1e-3 of 20 steps at such a rate.
    out = tmp_path_factory.mktemp("workers") / "run"
    for process in two_workers(out):
        text = finish(process)
        assert process.returncode == 0, text
    return out


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_stops_the_other_and_all_go_on(uninterrupted_workers, tmp_path, victim):
    out = tmp_path / "run"
    processes = two_workers(out)
    wait_until(lambda: epochs_done(out) or any(p.poll() is not None for p in processes))
    time.sleep(random.Random(victim).uniform(0, 2))
    processes[victim].send_signal(signal.SIGKILL)
    finish(processes[victim])
    text = finish(processes[1 - victim], timeout=120)
    assert processes[1 - victim].returncode == 1, text
    assert f"error: worker {victim} (localhost:" in text, text
    assert "Start all workers again with the same command" in text
    assert not (out / "model.keras").exists()
    processes = two_workers(out)
    for process in processes:
        text = finish(process)
        assert process.returncode == 0, text
        assert "Epoch 1/" not in text
    check_equal(out, uninterrupted_workers)


def test_a_worker_that_never_comes_is_named(tmp_path):
    own, other = free_ports(2)
    process = start(
        tmp_path / "run", "--strategy", "multi-worker", "--worker-timeout", "1",
        tf_config={
            "cluster": {"worker": [f"localhost:{own}", f"localhost:{other}"]},
            "task": {"type": "worker", "index": 0},
        },
    )  # fmt: skip
    text = finish(process)
    assert process.returncode == 1
    assert f"worker 1 (localhost:{other}) did not come within 1 s" in text
    assert not (tmp_path / "run").exists()
