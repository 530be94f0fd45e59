"""Training by several replicas, and by several processes, against one device of plain Keras."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.reliability.training_process import free_ports
from helpers.paths import TESTS

MATRIX = TESTS / "programs" / "strategy_matrix.py"
FAST = ("sgd", "global_clipnorm", "accumulation", "layerwise", "float16")
ALL = (
    *FAST, "adamw", "schedule", "clipnorm", "clipvalue", "ema", "ema_overwrite",
    "accumulation_clip", "accumulation_schedule", "steps_per_execution", "ragged",
    "own_loss", "float16_clip",
)  # fmt: skip
BOUNDS = {"adamw": 1e-5, "float16": 2e-3, "float16_clip": 2e-3}  # else 1e-6


def start(mode, out, cases, tf_config=None):
    environment = dict(os.environ)
    environment.pop("TF_CONFIG", None)
    if tf_config:
        environment["TF_CONFIG"] = json.dumps(tf_config)
    return subprocess.Popen(
        [sys.executable, str(MATRIX), mode, str(out), *cases],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait(process):
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output[-3000:]


def two_workers(out, cases):
    workers = [f"localhost:{port}" for port in free_ports(2)]
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    configs = [{"cluster": {"worker": workers}, "task": task} for task in tasks]
    return [start("workers", out, cases, config) for config in configs]


def run_matrix(folder, fast_modes, cases):
    processes = [start("one", folder / "one.npz", cases)]
    if "mirrored" in fast_modes:
        processes.append(start("mirrored", folder / "mirrored.npz", cases))
    if "workers" in fast_modes:
        processes += two_workers(folder / "worker{}.npz", cases)
    try:
        for process in processes:
            wait(process)
    finally:  # where one fails, the others would wait for it
        for process in processes:
            process.kill()
            process.communicate()
    return {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}


def check_case(one, several, case):
    bound = BOUNDS.get(case, 1e-6)
    keys = [key for key in one if key.startswith(f"{case}/")]
    assert len(keys) > 10
    for key in keys:
        assert one[key].shape == several[key].shape, key
        difference = np.abs(one[key].astype("float64") - several[key])
        assert np.isfinite(one[key]).all(), key
        assert (difference <= bound * np.maximum(1.0, np.abs(one[key]))).all(), (key, difference)
    if "float16" in case:  # two overflows, each halved the scale once: on all replicas or none
        assert one[f"{case}/scale"] == several[f"{case}/scale"] == 2**15 / 4


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return run_matrix(tmp_path_factory.mktemp("few"), ("mirrored",), FAST)


@pytest.mark.slow
@pytest.mark.parametrize("case", FAST)
def test_two_replicas_give_what_one_device_gives(few, case):
    check_case(few["one"], few["mirrored"], case)


@pytest.fixture(scope="module")
def one_case(tmp_path_factory):
    return run_matrix(tmp_path_factory.mktemp("workers"), ("workers",), ("sgd",))


@pytest.mark.slow
def test_two_workers_give_what_one_device_gives(one_case):
    check_case(one_case["one"], one_case["worker0"], "sgd")
    check_case(one_case["one"], one_case["worker1"], "sgd")


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    return run_matrix(tmp_path_factory.mktemp("all"), ("mirrored", "workers"), ())


@pytest.mark.slow
@pytest.mark.parametrize("several", ["mirrored", "worker0", "worker1"])
@pytest.mark.parametrize("case", ALL)
def test_the_whole_matrix(everything, several, case):
    check_case(everything["one"], everything[several], case)


@pytest.mark.slow
@pytest.mark.parametrize("several", ["mirrored", "worker0"])
def test_replicas_drop_differently(everything, several):
    masks = everything[several]["dropout/masks"]  # (step, replica, 4096), values 0 and 2
    dropped = (masks == 0).astype("float64")
    assert np.abs(dropped.mean(axis=-1) - 0.5).max() < 0.04  # 5 standard deviations
    agreement = np.corrcoef(dropped.reshape(4, -1)) - np.eye(4)
    assert np.abs(agreement).max() < 0.08  # 5 standard deviations of 4096 independent pairs
    assert np.isfinite(everything[several]["dropout/loss"]).all()
