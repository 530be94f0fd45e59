"""What `run.json` holds, and whether a file holds that."""

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from keras_attn._version import __version__
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.run_folder.files import read_text


def _is_list_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(v, kind) for v in value)


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds) and not isinstance(value, bool)


# What is read from a record somewhere, and what each must be.
PARTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "data.class_names": ("strings", _is_list_of(str)),
    "data.name": ("a text", _is(str)),
    "data.image_shape": (
        "three positive integers",
        lambda value: _is_list_of(int)(value) and len(value) == 3 and min(value) > 0,
    ),
    "data.seed": ("an integer", _is(int)),
    "data.options": ("an object", _is(dict)),
    "data.fingerprint": ("a text", _is(str)),
    "model.name": ("a text", _is(str)),
    "arguments": ("an object", _is(dict)),
    "metrics": (
        "an object of numbers",
        lambda value: isinstance(value, dict) and all(map(_is(int, float), value.values())),
    ),
}


def read_record(path: Path) -> dict[str, Any]:
    """Reads a `run.json`, of which `check_record` has yet to say whether it is whole.

    Raises:
        OSError: If it can't be read.
        ValueError: If it is not JSON, or holds no `data.class_names`.
    """
    try:
        record: dict[str, Any] = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    _check_part(path, record, "data.class_names")
    return record


def check_record(path: Path, record: Mapping[str, Any]) -> None:
    """Raises a ValueError that names the first part of a record that is missing or wrong."""
    for name in PARTS:
        _check_part(path, record, name)


def _check_part(path: Path, record: Any, name: str) -> None:
    value = record
    for key in name.split("."):
        if not isinstance(value, dict) or key not in value:
            raise ValueError(f"{path} is not a run's: it has no `{name}`")
        value = value[key]
    rule, holds = PARTS[name]
    if not holds(value):
        raise ValueError(
            f"{path} is not a run's: `{name}` must be {rule}. Received: {value!r:.100}"
        )


def describe_run(
    dataset: ImageDataset,
    model: keras.Model,
    *,
    arguments: Mapping[str, Any],
    identity: Mapping[str, Any],
    replicas: int,
    seconds: float,
    metrics: Mapping[str, float],
) -> dict[str, Any]:
    """Gathers what `run.json` records.

    Args:
        dataset: Images that were trained on.
        model: Network that was trained.
        arguments: Options of the training, defaults filled in.
        identity: Parts that told it from other trainings when it began, `data` and
            `architecture` among them.
        replicas: Number of replicas that the strategy had.
        seconds: Time that the training took.
        metrics: Loss and accuracy at the end.

    Returns:
        A dictionary that JSON can hold.
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "arguments": dict(arguments),
        "data": {
            "name": dataset.name,
            "class_names": list(dataset.class_names),
            "image_shape": list(dataset.image_shape),
            "train_size": dataset.train_size,
            "test_size": dataset.test_size,
            "seed": dataset.seed,
            "options": dict(dataset.options),
            "preprocessing": {
                "crop": dataset.preprocessing.crop,
                "interpolation": dataset.preprocessing.interpolation,
            },
            "fingerprint": identity["data"],
        },
        "model": {"name": model.name, "parameters": model.count_params()},
        "architecture": identity["architecture"],
        "replicas": replicas,
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            **_backend_version(),
            "keras_attn": __version__,
        },
        "hardware": {
            "platform": platform.platform(),
            "cpu_count": os.cpu_count(),
            "gpus": _gpus(),
        },
        "seconds": round(seconds, 1),
        "metrics": dict(metrics),
    }


def _backend_version() -> dict[str, str]:
    name = keras.backend.backend()
    return {name: importlib.metadata.version(name)}


def _gpus() -> list[str]:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ]
    if keras.backend.backend() == "torch":  # of which keras.distribution knows no devices
        import torch

        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [device for device in keras.distribution.list_devices() if "cpu" not in device]
