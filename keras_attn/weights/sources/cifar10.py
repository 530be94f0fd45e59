"""Our own small networks, trained on CIFAR-10. They come with the package.

For each file `NAME.weights.h5` in `keras_attn/weights/cifar10/` a record `NAME.json` stands
beside it, with these keys:

    constructor, arguments     what makes the network: "CIFARResNet", {"depth": 20, ...}
    sha256                     of the file
    recipe, command            how it was trained
    accuracy                   on CIFAR-10's test images, in percent
    calibration_error          there, expected over 15 bins (Guo et al., ICML 2017), 0 to 1
    images, epochs, seed       how much it saw
    hardware, date
    class_names                in the order of the outputs
    preprocessing              {"mean": [...], "std": [...], "range": [0, 1], "size": 32}

A constructor with other arguments than a record's has no such weights. `horse.png` is the fifth
of the test images.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_attn.weights.metadata import Metadata, RemoteFile
from keras_attn.weights.sources.weight_set import WeightSet

FOLDER = Path(__file__).parent.parent / "cifar10"
NOTED = ("calibration_error", "recipe", "images", "epochs", "seed", "command")


def read_record(path: Path) -> WeightSet:
    """Reads the record beside a file of weights.

    Args:
        path: The `.json` file.

    Returns:
        The set; its file is the `.weights.h5` of the same name.

    Raises:
        ValueError: If the record is no JSON, or lacks a key.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        noted = {key.replace("_", " "): record[key] for key in NOTED}
        preprocessing: dict[str, Any] = record["preprocessing"]
        metadata = Metadata(
            f"cifar10/{path.stem}",
            record["constructor"],
            f"keras_attn, {record['date']}, {record['hardware']}",
            "Apache-2.0",
            float(record["accuracy"]),
            "CIFAR-10, test images",
            crop=1.0,
            interpolation="",
            size=int(preprocessing["size"]),
            range=tuple(preprocessing["range"]),
            mean=tuple(preprocessing["mean"]),
            std=tuple(preprocessing["std"]),
            labels=tuple(record["class_names"]),
            sha256=record["sha256"],
            note="; ".join(f"{key}: {value}" for key, value in noted.items()),
        )
        arguments = dict(record["arguments"])
        weights = path.with_name(f"{path.stem}.weights.h5")
        file = RemoteFile(weights.as_uri(), record["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no record of weights: {error!r}") from error
    return WeightSet(metadata, None, file, arguments)


def cifar10_sets(folder: Path = FOLDER) -> Iterator[WeightSet]:
    """The sets that the package brings."""
    for path in sorted(folder.glob("*.json")):
        yield read_record(path)
