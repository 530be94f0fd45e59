"""What each kind of attention adds to ResNet-50: parameters, multiply-accumulates, and time.

    python benchmarks/attention_family.py [--rounds 9] [--batch 8] [--kinds se cbam ...]
        [--out keras_attn/cost/attention_costs.csv]

Each kind runs by turns with the plain network in one process, forward pass and training step (all
gradients) as TensorFlow graphs on random images of 224x224; the median of a turn's difference, for
one image, is quoted. `--rounds 0` only counts. With `--kinds`, the others' lines of an existing
file stay. The file is what `keras-attn models --attention` prints.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_attn.applications import ResNet50
from keras_attn.cost.attention import attention_cells, read_attention_costs
from keras_attn.cost.attention_count import count_attention_costs, write_attention_costs
from keras_attn.kinds import KINDS


def functions(kind: str | None, side: int) -> tuple:
    """The forward pass and the training step as graphs."""
    keras.utils.set_random_seed(0)
    model = ResNet50(attention=kind, input_shape=(side, side, 3))

    @tf.function
    def forward(x: tf.Tensor) -> tf.Tensor:
        return model(x, training=False)

    @tf.function
    def step(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(tf.math.log(model(x, training=True)[:, 0] + 1e-9))
        return tape.gradient(loss, [w.value for w in model.trainable_weights])

    return forward, step


def compare(runs: list, x: tf.Tensor, rounds: int) -> tuple[float, float]:
    """Milliseconds for one image of the first, and what the second adds, by turns."""
    for run in runs:
        run(x)
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, seconds in zip(runs, times, strict=True):
            start = time.perf_counter()
            run(x)
            seconds.append(time.perf_counter() - start)
    added = [second - first for first, second in zip(*times, strict=True)]
    base, difference = statistics.median(times[0]), statistics.median(added)
    return 1e3 * base / len(x), 1e3 * difference / len(x)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=224, help="of the images that are timed")
    parser.add_argument("--kinds", nargs="+", default=[*KINDS], choices=[*KINDS], metavar="KIND")
    parser.add_argument("--out", type=Path, default=Path("attention_costs.csv"))
    arguments = parser.parse_args()

    costs = count_attention_costs(arguments.kinds)
    shape = (arguments.batch, arguments.side, arguments.side, 3)
    x = tf.constant(np.random.default_rng(1).normal(size=shape), tf.float32)
    bases: list[tuple[float, float]] = []
    plain = functions(None, arguments.side)
    for kind in arguments.kinds if arguments.rounds else []:
        attending = functions(kind, arguments.side)
        (base, forward), (base_step, step) = (
            compare([plain[i], attending[i]], x, arguments.rounds) for i in (0, 1)
        )
        costs[kind] = replace(costs[kind], forward_ms=forward, step_ms=step)
        print(
            f"{kind:16} forward {base:8.2f} {forward:+8.2f} ms   "
            f"step {base_step:8.2f} {step:+8.2f} ms",
            flush=True,
        )
        bases.append((base, base_step))
        del attending

    if bases:
        base, base_step = (statistics.median(times) for times in zip(*bases, strict=True))
        costs["none"] = replace(costs["none"], forward_ms=base, step_ms=base_step)
    hardware = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    earlier = ""
    if len(arguments.kinds) < len(KINDS) and arguments.out.exists():
        kept, earlier = read_attention_costs(arguments.out)
        known = {**kept, **costs, "none": kept["none"]}
        costs = {kind: known[kind] for kind in ["none", *KINDS] if kind in known}
        earlier = f"; the other kinds: {earlier}"
    measured = f"batch {arguments.batch}, medians of {arguments.rounds} rounds"
    run = (
        f"{' '.join(sys.argv)}; {datetime.date.today()}; {hardware}; tensorflow {tf.__version__}, "
        f"keras {keras.__version__}; {measured if arguments.rounds else 'not measured yet'}"
    )
    write_attention_costs(costs, arguments.out, run + earlier)
    for row in attention_cells(arguments.out):
        print("  ".join(row.values()))


if __name__ == "__main__":
    main()
