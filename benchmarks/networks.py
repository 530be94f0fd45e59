"""Whole networks: what attention costs, and how ours compare with Keras's and timm's.

    python benchmarks/networks.py [--rounds 9] [--batches 1 8] [--side 224] [--networks NAME ...]
        [--torch-python ENVIRONMENT/bin/python] [--short] [--out networks.csv]

Forward passes and training steps (loss, all gradients, SGD's update) of images of 224x224 by turns
on the same machine, each twice and the second timed; medians quoted. Ours and Keras's are
TensorFlow graphs. `folded` is our network after `fold_batch_norm`, as `keras-attn export` runs it;
`unfused` is ours with Keras's BatchNormalization in the place of our own.
With `--torch-python`, an interpreter of an environment with torch and timm, timm's networks take
their turns too (channels_last, in a process of their own that waits meanwhile). `per MAC` is
against ResNet-50's time per multiply-accumulate.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from measuring import medians_by_turns, save

from keras_attn import applications
from keras_attn.cost import count_cost
from keras_attn.export.graph.fold import fold_batch_norm
from keras_attn.layers import BatchNormalization

BASE = "ResNet50"
# Our name or `keras.`Name -> the network; `timm.`name runs in the other environment.
NETWORKS = (
    BASE,
    "ResNet50 folded",
    "ResNet50 unfused",
    "SEResNet50",
    "SEResNet50 folded",
    "AAResNet50",
    "ResidualAttention56",
    "keras.ResNet50",
    "timm.resnet50",
    "timm.seresnet50",
)
SHORT = (BASE, "SEResNet50", "AAResNet50", "keras.ResNet50")


Run = Callable[[], Any]


def our_runs(name: str, batches: list[int], side: int) -> tuple[dict[tuple[str, int], Run], int]:
    """The passes of a network of ours or of Keras's, by name and batch, and its MACs."""
    keras.utils.set_random_seed(0)
    plain, _, form = name.partition(" ")
    library, _, plain_name = plain.rpartition(".")
    source = keras.applications if library else applications
    kwargs = {"weights": None} if library else {}
    model = getattr(source, plain_name)(input_shape=(side, side, 3), **kwargs)
    macs = count_cost(model).macs
    if form == "folded":
        model, _ = fold_batch_norm(model)
    elif form == "unfused":
        model = keras.models.clone_model(model, clone_function=_with_keras_norm)
    optimizer = keras.optimizers.SGD(1e-6, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def forward(images: tf.Tensor) -> tf.Tensor:
        return model(images, training=False)

    @tf.function(autograph=False)
    def step(images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(
                labels, model(images, training=True)
            )
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, [w.value for w in model.trainable_variables])
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    runs: dict[tuple[str, int], Run] = {}
    for batch in batches:
        images = np.random.default_rng(1).normal(size=(batch, side, side, 3))
        images, labels = tf.constant(images, tf.float32), tf.range(batch)
        runs["forward", batch] = lambda x=images: forward(x).numpy()
        runs["step", batch] = lambda x=images, y=labels: step(x, y)
    if form == "folded":
        runs = {key: run for key, run in runs.items() if key[0] == "forward"}
    return runs, macs


def _with_keras_norm(layer: keras.layers.Layer) -> keras.layers.Layer:
    norm = isinstance(layer, BatchNormalization)
    return (keras.layers.BatchNormalization if norm else type(layer)).from_config(
        layer.get_config()
    )


class Torch:
    """The other environment, which runs timm's networks when told."""

    def __init__(self, python: str, side: int) -> None:
        script = Path(__file__).with_name("torch_networks.py")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [python, str(script), str(side)], stdin=pipe, stdout=pipe, text=True
        )

    def ask(self, line: str) -> str:
        """The answer to a line."""
        answer = ""
        if self._process.stdin and self._process.stdout and self._process.poll() is None:
            print(line, file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline().strip()
        if not answer:
            raise RuntimeError("The process of --torch-python has ended; see its error above")
        return answer

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, metavar="NAME")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="of forward passes")
    parser.add_argument("--step-batch", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--side", type=int, default=224, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--short", action="store_true", help="few networks, batch 1, 5 rounds")
    parser.add_argument("--torch-python", help="an interpreter with torch and timm")
    parser.add_argument("--out", default="networks.csv", help="default: %(default)s")
    arguments = parser.parse_args()
    names = [*(arguments.networks or (SHORT if arguments.short else NETWORKS))]
    if arguments.short:
        arguments.rounds, arguments.batches, arguments.step_batch = 5, [1], 1
    if not arguments.torch_python:
        names = [name for name in names if not name.startswith("timm.")]
    if BASE not in names:
        names.insert(0, BASE)

    torch = Torch(arguments.torch_python, arguments.side) if arguments.torch_python else None
    versions = torch.ask("versions") if torch else ""
    made, macs = {}, {}
    for name in names:
        if not name.startswith("timm."):
            batches = sorted({*arguments.batches, arguments.step_batch})
            made[name], macs[name] = our_runs(name, batches, arguments.side)

    passes = [("forward", batch) for batch in arguments.batches] + [("step", arguments.step_batch)]
    rows: list[dict[str, Any]] = []
    print(f"{'network':22} {'pass':8} {'batch':>5} {'ms':>9} {'ratio':>6} {'per MAC':>8}")
    for which, batch in passes:
        runs: dict[str, Run] = {}
        for name in names:
            if torch and name.startswith("timm."):
                line = f"{name.removeprefix('timm.')} {which} {batch}"
                runs[name] = lambda line=line: torch.ask(line)
            elif (which, batch) in made[name]:
                runs[name] = made[name][which, batch]
        times = medians_by_turns(runs, arguments.rounds, before=1)
        for name, ms in times.items():
            ratio = ms / times[BASE]
            per_mac = ratio * macs[BASE] / macs[name] if name in macs else None
            rows.append(
                {
                    "network": name,
                    "pass": which,
                    "batch": batch,
                    "side": arguments.side,
                    "ms": round(ms, 2),
                    "ratio": round(ratio, 3),
                    "per_mac": per_mac and round(per_mac, 3),
                    "other_versions": versions if name.startswith("timm.") else "",
                }
            )
            shown = f"{per_mac:8.2f}" if per_mac else ""
            print(f"{name:22} {which:8} {batch:5} {ms:9.2f} {ratio:6.2f} {shown}", flush=True)
    if torch:
        torch.close()
    save(arguments.out, rows, "tensorflow", "keras")


if __name__ == "__main__":
    main()
