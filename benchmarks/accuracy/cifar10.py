"""CIFAR-10 under one budget for every network: trains what is missing, and prints the table.

    python -m benchmarks.accuracy.cifar10 --data-dir FOLDER [--only PART] [--seeds 3] [--table]

Each finished run is a line of `benchmarks/results/cifar10.csv`, and is not run again; one that was
stopped goes on after its last whole epoch. FOLDER is where tensorflow-datasets has CIFAR-10
prepared. `--table` trains nothing and prints the means, and what was not run. A further kind of
attention is a further line of `RUNS`.

The budget: 10,000 of the 50,000 training images, drawn by the seed, for 10 epochs; batches of 128,
crops and flips, SGD with Nesterov momentum 0.9, 0.1 with warm-up and a cosine, decoupled weight
decay 1e-3 without biases and BatchNormalization. Accuracy is on all 10,000 test images, after the
last epoch.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import measuring

RESULTS = Path(__file__).parents[1] / "results" / "cifar10.csv"
# name: network in `keras_attn.applications.MODELS`, its further arguments, those of the data
RUNS: dict[str, tuple[str, dict, dict]] = {
    "ResNet-20": ("resnet20_cifar", {}, {}),
    "SE-ResNet-20": ("se_resnet20_cifar", {}, {}),
    "AA-ResNet-20": ("aa_resnet20_cifar", {}, {}),
    "ECA-ResNet-20": ("resnet20_cifar", {"attention": "eca"}, {}),
    "CBAM-ResNet-20": ("resnet20_cifar", {"attention": "cbam"}, {}),
    "ResidualAttention-56": ("residual_attention56_cifar", {}, {}),
    "ResidualAttention-56, no masks": ("residual_attention56_cifar", {"attention": None}, {}),
    "ResidualAttention-56, naive": ("residual_attention56_cifar", {"learning": "naive"}, {}),
    "ResidualAttention-56, channel": ("residual_attention56_cifar", {"attention": "channel"}, {}),
    "ResidualAttention-56, spatial": ("residual_attention56_cifar", {"attention": "spatial"}, {}),
    **{
        f"{name}, {noise:.0%} label noise": (model, options, {"label_noise": noise})
        for noise in (0.3, 0.5)
        for name, model, options in (
            ("ResNet-20", "resnet20_cifar", {}),
            ("ResidualAttention-56, no masks", "residual_attention56_cifar", {"attention": None}),
            ("ResidualAttention-56", "residual_attention56_cifar", {}),
        )
    },
}
BUDGET = {"limit": 10_000, "epochs": 10, "batch_size": 128, "augment": ("crop", "flip")}
FIELDS = (
    "network", "seed", "accuracy", "loss", "parameters", "images", "epochs", "minutes",
    "commit", "keras", "tensorflow", "hardware", "date",
)  # fmt: skip


def run(name: str, seed: int, data_dir: str, folder: Path) -> dict:
    """Trains one network, in this process."""
    from keras_attn import training
    from keras_attn.applications import get_model

    model, options, data_options = RUNS[name]
    budget = dict(BUDGET)
    data = training.load_dataset(
        "cifar10", data_dir=data_dir, limit=budget.pop("limit"), seed=seed, **data_options
    )
    result = training.train(
        lambda: get_model(model)(include_preprocessing=True, **options),
        data,
        folder / f"{name} {seed}".replace(" ", "-").replace(",", "").replace("%", ""),
        seed=seed,
        evaluate_every=budget["epochs"] + 1,  # `train` does so at the end
        **budget,
    )
    seconds = json.loads(result.paths["run"].read_text(encoding="utf-8"))["seconds"]
    return {
        "network": name,
        "seed": seed,
        "accuracy": round(result.metrics["accuracy"], 4),
        "loss": round(result.metrics["loss"], 4),
        "parameters": result.model.count_params(),
        "images": data.train_size,
        "epochs": budget["epochs"],
        "minutes": round(seconds / 60, 1),
        **environment(),
    }


def environment() -> dict[str, str]:
    """Where a number comes from."""
    import keras
    import tensorflow as tf

    return {
        "commit": measuring.commit(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "hardware": measuring.hardware(),
        "date": datetime.date.today().isoformat(),
    }


def read() -> list[dict[str, str]]:
    """The runs that are done."""
    if not RESULTS.exists():
        return []
    with open(RESULTS, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append(row: dict) -> None:
    """Adds a finished run."""
    rows = [*read(), row]
    RESULTS.parent.mkdir(exist_ok=True)
    beside = RESULTS.with_suffix(".writing")
    with open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(beside, RESULTS)


def print_table(seeds: int) -> None:
    """Means and standard deviations; what was not run is named as such."""
    print(f"{'network':46} {'parameters':>10} {'runs':>5}  accuracy, % (mean and deviation)")
    for name in RUNS:
        runs = [row for row in read() if row["network"] == name]
        accuracies = [100 * float(row["accuracy"]) for row in runs]
        result = "not run: --only " + repr(name)
        if accuracies:
            spread = f" +- {statistics.stdev(accuracies):.2f}" if len(runs) > 1 else ""
            result = f"{statistics.mean(accuracies):.2f}{spread}"
        parameters = f"{int(runs[0]['parameters']):,}" if runs else ""
        print(f"{name:46} {parameters:>10} {len(runs):>2}/{seeds:<2}  {result}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", help="where tensorflow-datasets has CIFAR-10 prepared")
    parser.add_argument("--runs", type=Path, default="runs/cifar10", help="folder of the runs")
    parser.add_argument("--only", default="", help="networks whose names have this part")
    parser.add_argument("--seeds", type=int, default=3, help="0, 1, ...; default: %(default)s")
    parser.add_argument("--table", action="store_true", help="train nothing, print what there is")
    parser.add_argument("--run", nargs=2, metavar=("NETWORK", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        append(run(arguments.run[0], int(arguments.run[1]), arguments.data_dir, arguments.runs))
        return
    if not arguments.table:
        for seed in range(arguments.seeds):  # a whole table of one seed before the next
            for name in RUNS:
                done = {(row["network"], row["seed"]) for row in read()}
                if arguments.only in name and (name, str(seed)) not in done:
                    print(f"{name}, seed {seed} ...", flush=True)
                    # A process of its own for each: what one leaves in memory is gone.
                    command = [sys.executable, __file__, "--run", name, str(seed)]
                    command += [
                        "--data-dir",
                        arguments.data_dir or "",
                        "--runs",
                        str(arguments.runs),
                    ]
                    subprocess.run(command, check=True)
    print_table(arguments.seeds)


if __name__ == "__main__":
    main()
