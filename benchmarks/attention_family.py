"""What each kind of attention adds to ResNet-50: parameters, multiply-accumulates, and time.

    python benchmarks/attention_family.py [--rounds 9] [--batch 8] [--kinds se cbam ...]
        [--out keras_attn/attention_costs.csv]

Each kind runs by turns with the plain network in one process, forward pass and training step (all
gradients) as TensorFlow graphs on random images of 224x224; the difference of the medians, for one
image, is quoted. `--rounds 0` only counts. The file is what `keras-attn models --attention` prints.
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
from keras_attn.attention_costs import attention_table, count_attention_costs, write_attention_costs
from keras_attn.insertion import KINDS


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


def medians(runs: list, x: tf.Tensor, rounds: int) -> list[float]:
    """Milliseconds for one image of each, by turns."""
    for run in runs:
        run(x)
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, seconds in zip(runs, times, strict=True):
            start = time.perf_counter()
            run(x)
            seconds.append(time.perf_counter() - start)
    return [1e3 * statistics.median(seconds) / len(x) for seconds in times]


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
    for kind in arguments.kinds if arguments.rounds else []:
        plain, attending = functions(None, arguments.side), functions(kind, arguments.side)
        (base, forward), (base_step, step) = (
            medians([plain[i], attending[i]], x, arguments.rounds) for i in (0, 1)
        )
        costs[kind] = replace(costs[kind], forward_ms=forward - base, step_ms=step - base_step)
        costs["none"] = replace(costs["none"], forward_ms=base, step_ms=base_step)
        print(
            f"{kind:16} forward {base:8.2f} {forward - base:+8.2f} ms   "
            f"step {base_step:8.2f} {step - base_step:+8.2f} ms",
            flush=True,
        )
        del plain, attending
        keras.backend.clear_session()

    hardware = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    measured = f"batch {arguments.batch}, medians of {arguments.rounds} rounds"
    run = (
        f"{' '.join(sys.argv)}; {datetime.date.today()}; {hardware}; tensorflow {tf.__version__}, "
        f"keras {keras.__version__}; {measured if arguments.rounds else 'not measured yet'}"
    )
    write_attention_costs(costs, arguments.out, run)
    print(attention_table(arguments.out))


if __name__ == "__main__":
    main()
