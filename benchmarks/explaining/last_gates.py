"""Gates by class of the packaged SE-ResNet-20, and its accuracy without the last stage's gates.

    python -m benchmarks.explaining.last_gates --data-dir FOLDER [--epochs 2] [--limit 10000]

FOLDER is where tensorflow-datasets has CIFAR-10 prepared. Hu et al., CVPR 2018, section 7.2, find
that gates of the last stage hardly differ by class, and can go at little loss. Here a stage's
gates, or those of the last block alone, are replaced by 1, or by their means over the training
images, which are folded into the normalization before them. The network is then trained on with and
without them alike: SGD with momentum, batches of 128, a constant rate, random flips. All accuracies
are of the 10,000 test images.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.measuring import save
from keras_attn.applications import CIFARResNet
from keras_attn.applications.common.preprocessing import CIFAR
from keras_attn.data.batches.tensorflow_pipeline import evaluation_batches
from keras_attn.explain import class_profiles, draw_profiles, selectivity
from keras_attn.training import load_dataset

RESULTS = Path(__file__).parents[1] / "results"
PLACES = ("stage1", "stage2", "stage3", "stage3_block3")  # whose gates go
Arrays = tuple[np.ndarray, np.ndarray]


def arrays_of(split: Any, limit: int | None = None) -> Arrays:
    """The images of a split as the network takes them, and their labels."""
    images, labels = [], []
    for some, their in evaluation_batches(split, 500):
        images.append(CIFAR.preprocess_input(np.asarray(some)))
        labels.append(np.asarray(their))
        if limit is not None and 500 * len(images) >= limit:
            break
    return np.concatenate(images)[:limit], np.concatenate(labels)[:limit]


def accuracy(model: keras.Model, data: Arrays) -> float:
    """In percent."""
    found = model.predict(data[0], batch_size=250, verbose=0).argmax(axis=-1)
    return 100 * float((found == data[1]).mean())


def without_gates(
    model: keras.Model, where: str, means: dict[str, np.ndarray] | None
) -> keras.Model:
    """A network with the weights of another, but without some gates.

    Args:
        model: SE-ResNet-20.
        where: How the names begin of the layers whose gates go.
        means: By the gates' layers, what they are replaced by, (C,); `None` means 1.
    """

    def kept(stage: int, block: int) -> str | None:
        return None if f"stage{stage}_block{block}_se".startswith(where) else "se"

    new = CIFARResNet(20, attention=kept)
    for layer in new.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    for name, mean in (means or {}).items():
        if name.startswith(where):
            before = new.get_layer(name.replace("_se", "_bn2"))
            before.gamma.assign(before.gamma * mean)
            before.beta.assign(before.beta * mean)
    return new


def trained_on(model: keras.Model, data: Arrays, epochs: int, rate: float, seed: int) -> None:
    """Trains a network a little more."""
    keras.utils.set_random_seed(seed)
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        loss="sparse_categorical_crossentropy",
    )
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        flips = rng.random(len(data[0])) < 0.5
        images = np.where(flips[:, None, None, None], data[0][:, :, ::-1], data[0])
        model.fit(images, data[1], batch_size=128, verbose=0)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps CIFAR-10")
    parser.add_argument("--epochs", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--limit", type=int, default=10_000, help="training images: %(default)s")
    parser.add_argument("--rate", type=float, default=0.001, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--figure", help="a PNG of the gates by class")
    arguments = parser.parse_args()
    data = load_dataset("cifar10", data_dir=arguments.data_dir)
    train, test = arrays_of(data.train, arguments.limit), arrays_of(data.test)
    model = CIFARResNet(20, attention="se", weights="cifar10")

    profiles = class_profiles(model, test)
    permuted = np.random.default_rng(arguments.seed).permutation(test[1])
    chance = selectivity(class_profiles(model, (test[0], permuted)))
    rows: list[dict[str, Any]] = [
        {"what": "selectivity", "where": name, "value": round(value, 4), "permuted": chance[name]}
        for name, value in selectivity(profiles).items()
    ]
    for row in rows:
        row["permuted"] = round(row["permuted"], 4)
        print(f"{row['where']:20} selectivity {row['value']:.3f}, permuted {row['permuted']:.4f}")
    if arguments.figure:
        draw_profiles(profiles, arguments.figure, class_names=data.class_names)

    means = {
        name: np.average(profile.mean, axis=0, weights=profile.count)
        for name, profile in class_profiles(model, train).items()
    }
    whole = accuracy(model, test)
    rows.append({"what": "accuracy", "where": "all gates", "value": round(whole, 2)})
    print(f"all gates: {whole:.2f} %")
    changed: dict[str, keras.Model] = {"all gates": model}
    for place in PLACES:
        for how, values in (("1", None), ("their means", means)):
            network = without_gates(model, place, values)
            where, value = f"gates of {place} are {how}", accuracy(network, test)
            rows.append({"what": "accuracy", "where": where, "value": round(value, 2)})
            print(f"{where}: {value:.2f} %", flush=True)
            if values is not None:
                changed[where] = network
    for where, network in changed.items():
        trained_on(network, train, arguments.epochs, arguments.rate, arguments.seed)
        value = accuracy(network, test)
        rows.append({"what": "accuracy, trained on", "where": where, "value": round(value, 2)})
        print(f"{where}, trained on: {value:.2f} %", flush=True)
    save(RESULTS / "last_gates.csv", rows, "keras", "tensorflow")


if __name__ == "__main__":
    main()
