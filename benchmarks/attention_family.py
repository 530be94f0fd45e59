"""What each kind of attention adds to ResNet-50: parameters, multiply-accumulates, and time.

    python benchmarks/attention_family.py [--rounds 9] [--batch 8] [--kinds se cbam ...]
        [--out keras_attn/cost/attention_costs.csv]

Each kind runs by turns with the plain network in one process, forward pass and training step (all
gradients) as TensorFlow graphs on random images of 224x224; the median of a turn's difference, for
one image, is quoted. Then a training step of each runs in a process of its own, and what this grows
by above the plain network's, for one image, is its memory. `--rounds 0` only counts, and leaves
what was measured. With `--kinds`, the others' lines of an existing file stay. The file is what
`keras-attn models --attention` prints.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import re
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from measuring import hardware, peak_mib

from keras_attn.applications import ResNet50
from keras_attn.cost.attention import AttentionCost, attention_cells, read_attention_costs
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


def memory(kind: str, batch: int, side: int) -> float | None:
    """MiB for one image by which a fresh process grows in a training step; `None` if it fails."""
    of = [kind, str(batch), str(side)]
    done = subprocess.run([sys.executable, __file__, "--memory-of", *of], capture_output=True)
    return float(done.stdout.split()[-1]) / batch if done.returncode == 0 else None


def measured_before(path: Path) -> tuple[dict[str, AttentionCost], list[str]]:
    """What an existing file has, and the runs that measured it."""
    if not path.exists():
        return {}, []
    costs, run = read_attention_costs(path)
    runs = re.split("; the other kinds: |; times: ", run)
    return costs, [each for each in runs if "medians of" in each]


def measure(costs: dict[str, AttentionCost], rounds: int, batch: int, side: int) -> None:
    """Measures each kind by turns with the plain network, then the memory of each alone.

    Args:
        costs: The counted costs, to which the measured ones are added.
        rounds: Turns of each.
        batch: Images of a step.
        side: Of the images.
    """
    x = tf.constant(np.random.default_rng(1).normal(size=(batch, side, side, 3)), tf.float32)
    bases: list[tuple[float, float]] = []
    plain, plain_mib = functions(None, side), memory("none", batch, side)
    for kind in costs:
        if kind == "none":
            continue
        attending = functions(kind, side)
        (base, forward), (base_step, step) = (
            compare([plain[i], attending[i]], x, rounds) for i in (0, 1)
        )
        del attending
        gc.collect()
        mib = memory(kind, batch, side)
        added = None if mib is None or plain_mib is None else mib - plain_mib
        costs[kind] = replace(costs[kind], forward_ms=forward, step_ms=step, step_mib=added)
        print(
            f"{kind:20} forward {base:8.2f} {forward:+8.2f} ms   "
            f"step {base_step:8.2f} {step:+8.2f} ms   {added or float('nan'):+8.1f} MiB",
            flush=True,
        )
        bases.append((base, base_step))
    base, base_step = (statistics.median(times) for times in zip(*bases, strict=True))
    costs["none"] = replace(costs["none"], forward_ms=base, step_ms=base_step, step_mib=plain_mib)


def kept(
    costs: dict[str, AttentionCost], before: dict[str, AttentionCost], *, is_measured: bool
) -> dict[str, AttentionCost]:
    """The costs beside those of an earlier file, which has what is not measured now."""
    if is_measured:
        known = {**before, **costs, "none": before.get("none", costs["none"])}
    else:
        times = ("forward_ms", "step_ms", "step_mib")
        known = {**before, **costs}
        for kind in costs.keys() & before.keys():
            earlier = {name: getattr(before[kind], name) for name in times}
            known[kind] = replace(costs[kind], **earlier)
    return {kind: known[kind] for kind in ["none", *KINDS] if kind in known}


def main() -> None:
    """The command line."""
    if "--memory-of" in sys.argv:
        kind, batch, side = sys.argv[sys.argv.index("--memory-of") + 1 :]
        _, step = functions(None if kind == "none" else kind, int(side))
        shape = (int(batch), int(side), int(side), 3)
        x = tf.constant(np.random.default_rng(1).normal(size=shape), tf.float32)
        print(peak_mib(lambda: step(x))[0])
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=224, help="of the images that are timed")
    parser.add_argument("--kinds", nargs="+", default=[*KINDS], choices=[*KINDS], metavar="KIND")
    parser.add_argument("--out", type=Path, default=Path("attention_costs.csv"))
    arguments = parser.parse_args()

    before, runs = measured_before(arguments.out)
    costs = count_attention_costs(arguments.kinds)
    if arguments.rounds:
        measure(costs, arguments.rounds, arguments.batch, arguments.side)
    if not arguments.rounds or len(arguments.kinds) < len(KINDS):
        costs = kept(costs, before, is_measured=bool(arguments.rounds))
    else:
        runs = []
    measured = f"batch {arguments.batch}, medians of {arguments.rounds} rounds"
    run = (
        f"{' '.join(sys.argv)}; {datetime.date.today()}; {hardware()}; "
        f"tensorflow {tf.__version__}, keras {keras.__version__}; "
        f"{measured if arguments.rounds else 'counted'}"
    )
    write_attention_costs(costs, arguments.out, "; times: ".join([run, *runs]))
    for row in attention_cells(arguments.out):
        print("  ".join(row.values()))


if __name__ == "__main__":
    main()
