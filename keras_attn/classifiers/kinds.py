"""What a text that stands for a classifier means, by what is there. Keras is not needed for it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Literal

from keras_attn._hints import did_you_mean
from keras_attn._versions import find_versions
from keras_attn.applications.common.names import name_of_network
from keras_attn.training.run_folder.files import (
    DESCRIPTION_FILE,
    RUN_FILE,
    UNFINISHED,
    check_run_folder,
)
from keras_attn.weights.sources import SETS

Kind = Literal["run", "unfinished", "keras", "tag", "applications", "saved_model", "onnx", "tflite"]
NETWORKS: tuple[Kind, ...] = ("run", "unfinished", "keras", "tag", "applications")
SUFFIXES: dict[str, Kind] = {".keras": "keras", ".onnx": "onnx", ".tflite": "tflite"}
APPLICATIONS = "keras.applications."
# What a source's name for several sets means.
USUAL = {"cifar10": "cifar10/se_resnet20"}


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a classifier is.

    Attributes:
        kind: What it is: the folder of a run or of an unfinished one, a `.keras` file, a tag of
            weights, a network of keras.applications, a SavedModel, an ONNX or a TFLite file.
        place: The path, the version folder of the SavedModel, the tag, or the constructor's name.
    """

    kind: Kind
    place: str

    @property
    def is_network(self) -> bool:
        """Whether it is a Keras model, and not an export."""
        return self.kind in NETWORKS


def find_source(text: str | os.PathLike[str]) -> Source:
    """Finds out what a text means.

    Args:
        text: Path of a run's folder, of a `.keras`, `.onnx` or `.tflite` file or of an export; tag
            of weights; `"keras.applications.NAME"`.

    Raises:
        FileNotFoundError: If nothing of that name is there.
        ValueError: If what is there is none of these.

    Example:
        >>> find_source("cifar10")
        Source(kind='tag', place='cifar10/se_resnet20')
    """
    name = os.fspath(text)
    path = Path(name).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise ValueError(
                f"`source` must be a file that ends in {', '.join(SUFFIXES)}. "
                f"Received: source={name!r}"
            )
        return Source(SUFFIXES[path.suffix], str(path))
    tags = [each.metadata.tag for each in SETS]
    if name in (*USUAL, *tags):
        return Source("tag", USUAL.get(name, name))
    if name.lower().startswith(APPLICATIONS):
        return Source("applications", name[len(APPLICATIONS) :])
    raise FileNotFoundError(
        "`source` must be the folder of a run or of an export, a .keras, .onnx or .tflite file, a "
        "tag that `keras-attn models --weights` lists, or keras.applications.NAME. Received: "
        f"source={name!r}, which is none{did_you_mean(name, [*_beside(path), *USUAL, *tags])}"
    )


def network_of_tag(tag: str) -> str:
    """The name of the network that a tag's weights are for.

    Example:
        >>> network_of_tag("cifar10/se_resnet20")
        'se_resnet20_cifar'
    """
    [found] = [each for each in SETS if each.metadata.tag == tag]
    return name_of_network(found.metadata.network, found.arguments)


def _in_folder(path: Path) -> Source:
    if (path / RUN_FILE).exists():
        check_run_folder(path)
        return Source("run", str(path))
    if (path / UNFINISHED / DESCRIPTION_FILE).exists():
        return Source("unfinished", str(path))
    if (path / "saved_model.pb").exists():
        return Source("saved_model", str(path))
    if versions := find_versions(path):
        return Source("saved_model", str(path / str(max(versions))))
    raise ValueError(
        f"`source` must be a folder of a run, with {RUN_FILE}, or of an export, with "
        f"saved_model.pb or version folders. Received: source={str(path)!r}"
    )


def _beside(path: Path) -> list[str]:
    """What lies in the same folder."""
    try:
        return [str(path.parent / each) for each in os.listdir(path.parent)]
    except OSError:
        return []
