"""Fine-tuning a network that was trained on CIFAR-10 against training it from nothing, by epoch.

    python -m benchmarks.accuracy.finetuning [--epochs 8] [--seeds 3] [--limit IMAGES] [--out CSV]

The network is SE-ResNet-20, the data scikit-learn's digits, 1,437 to train on and 360 held out,
which the seed chooses. Each way has the schedule of `train`: batches of 128, SGD with Nesterov
momentum, warm-up and a cosine; the peak is that way's default, 0.1 from nothing and 0.01 with
weights, or what `--learning-rate` says for all. The table has the held-out accuracy after each
epoch, mean and deviation over the seeds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from benchmarks.measuring import save
from keras_attn.applications import get_model
from keras_attn.finetune import finetune, replace_head
from keras_attn.training import ImageDataset, load_dataset, train

NETWORK = "se_resnet20_cifar"
Way = Callable[[ImageDataset, Path, dict[str, Any]], dict[str, list[float]]]


def from_nothing(data: ImageDataset, out: Path, training: dict[str, Any]) -> dict:
    """Trains the network from random weights."""
    return train(lambda: _build(data, None), data, out, **training).history


def fine_tuned(data: ImageDataset, out: Path, training: dict[str, Any]) -> dict:
    """Trains all of the network from CIFAR-10's weights."""
    return finetune(lambda: _build(data, "cifar10"), data, out, **training).run.history


def head_alone(data: ImageDataset, out: Path, training: dict[str, Any]) -> dict:
    """Trains a new head; the network's other weights stay."""
    training = {"through": "stage3", "learning_rate": 0.1, **training}
    return finetune(lambda: _build(data, "cifar10"), data, out, **training).run.history


WAYS: dict[str, Way] = {
    "from nothing": from_nothing,
    "fine-tuned": fine_tuned,
    "head alone": head_alone,
}


def _build(data: ImageDataset, weights: str | None) -> keras.Model:
    network = get_model(NETWORK)(
        weights=weights,
        classes=data.num_classes,
        input_shape=data.image_shape,
        include_preprocessing=True,
    )
    return network if weights is None else replace_head(network, data.num_classes)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--limit", type=int, help="train on this many images only")
    parser.add_argument("--learning-rate", type=float, help="peak; default: each way's own")
    parser.add_argument("--out", help="a CSV with the table")
    arguments = parser.parse_args()
    schedule: dict[str, Any] = {"epochs": arguments.epochs, "verbose": 0}
    if arguments.limit:
        schedule["batch_size"] = min(128, arguments.limit)
    if arguments.learning_rate:
        schedule["learning_rate"] = arguments.learning_rate
    rows = []
    print(f"{'held-out accuracy, %, by epoch':16}")
    for name, way in WAYS.items():
        found = []
        for seed in range(arguments.seeds):
            limit = {"limit": arguments.limit} if arguments.limit else {}
            data = load_dataset("digits", seed=seed, **limit)
            with tempfile.TemporaryDirectory() as folder:
                history = way(data, Path(folder, "run"), {**schedule, "seed": seed})
            found.append([100 * value for value in history["val_accuracy"]])
            print(f"  {name}, seed {seed}: " + " ".join(f"{each:.1f}" for each in found[-1]))
        for epoch, values in enumerate(zip(*found, strict=True), 1):
            rows.append(
                {
                    "way": name,
                    "images": data.train_size,
                    "epoch": epoch,
                    "accuracy": round(statistics.mean(values), 2),
                    "deviation": round(statistics.stdev(values), 2) if len(values) > 1 else "",
                    "seeds": len(values),
                }
            )
    print(f"\n{'epoch':>5}" + "".join(f"{name:>18}" for name in WAYS))
    for epoch in range(1, arguments.epochs + 1):
        line = [row for row in rows if row["epoch"] == epoch]
        cells = (f"{row['accuracy']:.1f} +- {row['deviation'] or 0:.1f}" for row in line)
        print(f"{epoch:5}" + "".join(f"{cell:>18}" for cell in cells))
    if arguments.out:
        save(arguments.out, rows, "keras")


if __name__ == "__main__":
    main()
