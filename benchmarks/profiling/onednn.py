"""Training steps and forward passes with TensorFlow's oneDNN kernels, and without.

    python -m benchmarks.profiling.onednn [--rounds 9] [--out onednn.csv]

TensorFlow chooses them when it is imported: `TF_ENABLE_ONEDNN_OPTS`, and without that whether the
processor has AVX-512 VNNI or better. So each side is a process of its own, and the two work by
turns, while the other waits. Steps are `train_on_batch`, forward passes `predict_on_batch`, of
images of 32 x 32 (CIFAR) or 224 x 224. Medians in milliseconds; `gain` is the median of the ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import median_ratio, save

STEPS = ("resnet20_cifar", "se_resnet20_cifar", "aa_resnet20_cifar", "residual_attention56_cifar")
PASSES = ("resnet50", "se_resnet50", "aa_resnet50")
CASES = [("step", name, 128) for name in STEPS]
CASES += [("step", name, 8) for name in ("se_resnet50", "se_mobilenet")]
CASES += [("forward pass", name, batch) for name in PASSES for batch in (1, 8)]


def run_of(what: str, name: str, batch: int) -> Callable[[], Any]:
    """A step or a pass of a network with random weights, on random images."""
    from keras_attn.applications import get_model

    rng = np.random.default_rng(0)
    model = get_model(name)()
    images = rng.random((batch, *model.input_shape[1:]), np.float32)
    if what != "step":
        return lambda: model.predict_on_batch(images)
    labels = rng.integers(0, 10, batch)
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    return lambda: model.train_on_batch(images, labels)


def work() -> None:
    """A side: makes the case of a number that it is told, runs it, and says how long it took."""
    run: Callable[[], Any] = int
    for line in sys.stdin:
        if line.strip():
            run = run_of(*CASES[int(line)])
            run()
        start = time.perf_counter()
        run()
        print(1e3 * (time.perf_counter() - start), flush=True)


def side(setting: str) -> Any:
    """A process with the kernels, `"1"`, or without, `"0"`."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.profiling.onednn", "--work"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": setting},
    )  # fmt: skip


def ask(process: Any, line: str) -> float:
    """Milliseconds of a run."""
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--out", type=Path, default="benchmarks/results/onednn.csv", help="default: %(default)s"
    )
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work()
        return
    sides = {"without": side("0"), "with": side("1")}
    rows = []
    for number, (what, name, batch) in enumerate(CASES):
        times: dict[str, list[float]] = {}
        for key, process in sides.items():
            ask(process, str(number))
            times[key] = []
        for _ in range(arguments.rounds):
            for key, process in sides.items():
                times[key].append(ask(process, ""))
        rows.append(
            {
                "what": what,
                "model": name,
                "batch": batch,
                **{f"{key}_ms": round(statistics.median(times[key]), 1) for key in sides},
                "gain": median_ratio(times["without"], times["with"]),
            }
        )
        print(rows[-1], flush=True)
    for process in sides.values():
        process.stdin.close()
        process.wait()
    save(arguments.out, rows, "keras", "tensorflow")


if __name__ == "__main__":
    main()
