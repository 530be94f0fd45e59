"""Makes the weights that come with the package from runs of `keras-attn train`, or of the queue.

    keras-attn train --recipe cifar10_aa_resnet20 --data-dir FOLDER --epochs 20 --out RUN
    python -m benchmarks.accuracy.cifar10_weights --data-dir FOLDER RUN [RUN ...]
    python -m benchmarks.accuracy.cifar10_weights --data-dir FOLDER --again

FOLDER is where tensorflow-datasets has CIFAR-10 prepared. Of each run the network's weights are
written to `keras_attn/weights/cifar10/`, and beside them the record that
`keras_attn/weights/sources/cifar10.py` describes. Accuracy and calibration are measured here, on
all 10,000 test images, with the network as its constructor makes it from the written file.
`--again` measures the files that are there, and fails unless each record's accuracy is found to
the last image.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from keras_attn.applications import MODELS
from keras_attn.applications.common.preprocessing import CIFAR
from keras_attn.data.batches.tensorflow_pipeline import evaluation_batches
from keras_attn.report.answers import Answers
from keras_attn.training import ImageDataset, load_dataset, load_run
from keras_attn.training.recipes import get_recipe, recipe_names
from keras_attn.weights.sources.cifar10 import FOLDER


def command_of(model: str, metadata: dict) -> tuple[str, str]:
    """The recipe that trains a network on CIFAR-10, and the command by which the run was."""
    recipes = {name: get_recipe(name)[0] for name in recipe_names()}
    found = [
        name for name, each in recipes.items() if (each.model, each.data) == (model, "cifar10")
    ]
    if len(found) != 1:
        raise SystemExit(f"One recipe must train {model} on cifar10; there are {found}.")
    flags = {"recipe": found[0], "limit": metadata["data"]["options"].get("limit")}
    for key, value in recipes[found[0]].training.record().items():
        trained = metadata["arguments"].get(key, value)
        if json.loads(json.dumps(value)) == trained:
            continue
        if isinstance(trained, bool) or not isinstance(trained, int | float | str):
            raise SystemExit(f"The run's {key} is {trained}, that of {found[0]} {value}.")
        flags[key] = trained
    said = [f"--{key.replace('_', '-')} {value}" for key, value in flags.items() if value]
    return found[0], " ".join(["keras-attn train", *said])


def measure(model_name: str, weights: Path, data: ImageDataset) -> dict[str, float]:
    """What a file's network makes of the test images: accuracy, in percent, and calibration."""
    model = MODELS[model_name]()
    model.load_weights(weights)
    batches = [
        (model.predict_on_batch(CIFAR.preprocess_input(images)), labels.numpy())
        for images, labels in evaluation_batches(data, 250)
    ]
    probabilities, labels = map(np.concatenate, zip(*batches, strict=True))
    answers = Answers(probabilities, labels, tuple(data.class_names))
    return {
        "accuracy": round(100 * answers.accuracy, 2),
        "calibration_error": round(answers.calibration_error(), 4),
    }


def pack(run: Path, data: ImageDataset) -> None:
    """Writes the weights and the record of one run."""
    trained, metadata = load_run(run)
    model_name = metadata["model"]["name"]
    entry = MODELS[model_name]
    model = entry()
    model.set_weights(trained.get_weights())
    arguments = metadata["arguments"]
    name, (recipe, command) = model_name.removesuffix("_cifar"), command_of(model_name, metadata)
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        beside = Path(folder) / f"{name}.weights.h5"
        model.save_weights(beside)
        measured = measure(model_name, beside, data)
        there = 100 * metadata["metrics"]["accuracy"]
        if abs(measured["accuracy"] - there) > 0.1:
            raise SystemExit(f"{run}: {measured['accuracy']:.2f} % here, {there:.2f} % there")
        record = {
            "constructor": entry.construct.__name__,
            "arguments": dict(entry.arguments),
            "sha256": hashlib.sha256(beside.read_bytes()).hexdigest(),
            "recipe": recipe,
            "command": command,
            **measured,
            "images": metadata["data"]["train_size"],
            "epochs": arguments["epochs"],
            "seed": arguments["seed"],
            "hardware": f"{metadata['hardware']['cpu_count']} CPU cores",
            "date": metadata["date"][:10],
            "class_names": metadata["data"]["class_names"],
            "preprocessing": {
                "mean": CIFAR.mean,
                "std": CIFAR.std,
                "range": CIFAR.range,
                "size": 32,
            },
        }
        os.replace(beside, FOLDER / beside.name)
    (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{name}: {measured}, {(FOLDER / f'{name}.weights.h5').stat().st_size:,} bytes")


def again(data: ImageDataset) -> None:
    """Measures what is there."""
    for path in sorted(FOLDER.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        weights = path.with_name(f"{path.stem}.weights.h5")
        measured = measure(f"{path.stem}_cifar", weights, data)
        print(f"{path.stem}: {measured}, the record says {record['accuracy']} %", flush=True)
        if measured["accuracy"] != record["accuracy"]:
            raise SystemExit(f"{path.stem} is not what its record says.")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument("--again", action="store_true", help="measure what is there again")
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps CIFAR-10")
    arguments = parser.parse_args()
    if arguments.again == bool(arguments.runs):
        parser.error("either runs, or --again")
    data = load_dataset("cifar10", data_dir=arguments.data_dir, limit=100)  # trains nothing
    for run in arguments.runs:
        pack(run, data)
    if arguments.again:
        again(data)


if __name__ == "__main__":
    main()
