"""SelfAttention2D's core against the paper's appendix: time and memory, forward and training step.

    python benchmarks/attention.py [--sides 7 14 28] [--batch 8] [--rounds 9] [--out attention.csv]

Compared in one process, by turns, medians quoted; TensorFlow graphs on the CPU. The baseline is
written from the appendix's published formula: relative logits by padding and reshaping, tiled to
the whole N x N map. Memory is the process's greatest growth during one step, from `VmHWM`, each
measured in a process of its own.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_attn.layers import SelfAttention2D

HEADS, KEY_DIM = 8, 20
VALUE_DIMS = {7: 6, 14: 3, 28: 1, 56: 1, 112: 1}  # AA-ResNet-50's, and on
FORMS = ("appendix", "full", "chunked", "auto")


class AppendixAttention2D(SelfAttention2D):
    """The same layer with the appendix's relative logits: pad, reshape, tile, add."""

    def _attend(self, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        _, heads, height, width, _ = q.shape
        places = height * width

        def flat(x: tf.Tensor) -> tf.Tensor:
            return tf.reshape(x, (-1, heads, places, x.shape[-1]))

        along_width = _logits_1d(q, self.relative_width, (0, 1, 2, 4, 3, 5))
        turned = tf.transpose(q, (0, 1, 3, 2, 4))
        along_height = _logits_1d(turned, self.relative_height, (0, 1, 4, 2, 5, 3))
        logits = tf.matmul(flat(q), flat(k), transpose_b=True) + along_height + along_width
        outputs = tf.matmul(tf.nn.softmax(logits), flat(v))
        return tf.reshape(outputs, (-1, places, v.shape[-1]))


def _logits_1d(q: tf.Tensor, table: tf.Tensor, order: tuple[int, ...]) -> tf.Tensor:
    _, heads, height, width, _ = q.shape
    x = tf.einsum("bhxyd,md->bhxym", q, tf.convert_to_tensor(table))
    x = tf.reshape(x, (-1, heads * height, width, 2 * width - 1))
    x = tf.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1)))
    x = tf.reshape(x, (-1, heads * height, 2 * width * width))
    x = tf.pad(x, ((0, 0), (0, 0), (0, width - 1)))
    x = tf.reshape(x, (-1, heads * height, width + 1, 2 * width - 1))[:, :, :width, width - 1 :]
    x = tf.reshape(x, (-1, heads, height, 1, width, width))
    x = tf.transpose(tf.tile(x, (1, 1, 1, height, 1, 1)), order)
    return tf.reshape(x, (-1, heads, height * width, height * width))


def make(form: str, side: int) -> SelfAttention2D:
    """One layer with fixed weights on a map of `side` x `side`, 64 channels."""
    kwargs = {
        "num_heads": HEADS,
        "key_depth": HEADS * KEY_DIM,
        "value_depth": HEADS * VALUE_DIMS[side],
        "use_bias": False,
    }
    cls = AppendixAttention2D if form == "appendix" else SelfAttention2D
    layer = cls(implementation="full" if form == "appendix" else form, **kwargs)
    layer.build((None, side, side, 64))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(0, 0.1, w.shape) for w in layer.weights])
    return layer


def functions(form: str, side: int, batch: int) -> tuple:
    """The forward pass and the training step (all gradients) as graphs, and their input."""
    layer = make(form, side)
    x = tf.constant(np.random.default_rng(1).normal(size=(batch, side, side, 64)), tf.float32)

    @tf.function
    def forward(x: tf.Tensor) -> tf.Tensor:
        return layer(x)

    @tf.function
    def step(x: tf.Tensor) -> list[tf.Tensor]:
        variables = [w.value for w in layer.weights]
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(loss, [x, *variables])

    return forward, step, x


def peak_mib(form: str, side: int, batch: int, which: str) -> float:
    """How much one run lets the process grow, in a process of its own."""
    command = [sys.executable, __file__, "--peak", form, str(side), str(batch), which]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return float("nan")
    return float(done.stdout.split()[-1])


def _print_peak(form: str, side: str, batch: str, which: str) -> None:
    forward, step, x = functions(form, int(side), int(batch))
    run = forward if which == "forward" else step
    run.get_concrete_function(x)
    before = _status("VmRSS")
    run(x)
    print((_status("VmHWM") - before) / 1024)


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def _medians(runs: dict, x: tf.Tensor, rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {form: [] for form in runs}
    for run in runs.values():
        run(x)
    for _ in range(rounds):
        for form, run in runs.items():
            start = time.perf_counter()
            run(x)
            times[form].append(time.perf_counter() - start)
    return {form: 1e3 * statistics.median(seconds) for form, seconds in times.items()}


def main() -> None:
    """The command line."""
    if "--peak" in sys.argv:
        _print_peak(*sys.argv[sys.argv.index("--peak") + 1 :])
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[7, 14, 28])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--forms", nargs="+", default=["appendix", "full", "chunked"])
    parser.add_argument("--out", default="attention.csv")
    arguments = parser.parse_args()
    rows = []
    print(f"{'side':>4} {'pass':8} {'form':9} {'ms':>9} {'times':>6} {'MiB':>8} {'share':>6}")
    for side in arguments.sides:
        made = {form: functions(form, side, arguments.batch) for form in arguments.forms}
        for index, which in enumerate(("forward", "step")):
            x = next(iter(made.values()))[2]
            medians = _medians({form: m[index] for form, m in made.items()}, x, arguments.rounds)
            peaks = {form: peak_mib(form, side, arguments.batch, which) for form in medians}
            base = arguments.forms[0]
            for form, ms in medians.items():
                faster, share = medians[base] / ms, peaks[form] / peaks[base]
                rows.append((side, arguments.batch, which, form, ms, faster, peaks[form], share))
                print(
                    f"{side:4} {which:8} {form:9} {ms:9.2f} {faster:6.2f} {peaks[form]:8.1f} "
                    f"{share:6.3f}",
                    flush=True,
                )
    hardware = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    with open(arguments.out, "w", newline="", encoding="utf-8") as file:
        file.write(f"# {' '.join(sys.argv)}; {datetime.date.today()}; {hardware}; ")
        file.write(f"tensorflow {tf.__version__}, keras {keras.__version__}; seeds 0 and 1\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["side", "batch", "pass", "form", "ms", "times_faster", "MiB", "of_memory"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
