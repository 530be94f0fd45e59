"""What `weights=` means: a path, a set by its tag, or the usual set of a network."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_attn.weights.conversion import Report, convert
from keras_attn.weights.download import fetch
from keras_attn.weights.files import load_weights, naming_of
from keras_attn.weights.hub import fetch_repository
from keras_attn.weights.metadata import Metadata, set_metadata
from keras_attn.weights.naming import Naming
from keras_attn.weights.sources import SETS, WeightSet
from keras_attn.weights.tensors import KERAS_SUFFIXES, read_tensors

# Arguments of the constructors that don't change what the weights mean.
NEUTRAL = {
    "include_top",
    "include_preprocessing",
    "weights",
    "input_tensor",
    "input_shape",
    "pooling",
    "classes",
    "classifier_activation",
    "pyramid_outputs",
    "name",
}


@dataclass(frozen=True)
class Choice:
    """What `weights=` means for a constructor.

    Attributes:
        path: The file, where `weights` is a path.
        tensors: Its tensors and their naming, where it is of a source that is no Keras 3.
        set: The set, where `weights` names one.
        metadata: What belongs to the weights, as far as is known.
        arguments: The constructor's arguments that these weights were trained with.
    """

    path: Path | None = None
    tensors: tuple[Mapping[str, np.ndarray], Naming] | None = None
    set: WeightSet | None = None
    metadata: Metadata | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def load(self, network: keras.Model, model: keras.Model) -> Report:
        """Loads the weights, and has the model remember what belongs to them.

        Args:
            network: The network, from its image on: all its weights are set.
            model: What remembers; it has the network in it.

        Returns:
            What was done.
        """
        if self.tensors is not None:
            report = convert(network, *self.tensors)
        elif self.path is not None:
            report = load_weights(network, self.path)
        elif self.set is not None:
            report = load_weights(network, fetch(self.set.file), naming=self.set.naming)
        else:
            raise ValueError("`weights` must be chosen. Received: an empty choice")
        if self.metadata is not None:
            set_metadata(model, dataclasses.replace(self.metadata, changes=report.changes))
        return report


def choose(
    weights: Any,
    constructor: str,
    given: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
) -> Choice:
    """What `weights` means for a constructor.

    Args:
        weights: A path, `"imagenet"`, `"cifar10"`, a tag, or `"hf://owner/name"`, a repository of
            the Hugging Face hub with a `model.safetensors` of a known source.
        constructor: The constructor's name.
        given: The arguments that its caller gave. The set's are taken where there is none.
        defaults: The constructor's arguments by default. A set was trained with these where it
            does not say otherwise.

    Returns:
        The choice.

    Raises:
        ValueError: If there is no such file and no such set, or the caller gave an argument that
            the weights were not trained with; the message lists what exists.

    Example:

    >>> from keras_attn.weights.choice import choose
    >>> choice = choose("imagenet", "SEResNet50", {})
    >>> choice.set.metadata.tag, choice.arguments
    ('timm/seresnet50.ra2_in1k', {'geometry': 'torchvision'})
    """
    own = [each for each in SETS if each.metadata.network == constructor]
    if isinstance(weights, str | os.PathLike) and os.path.isfile(weights):
        return _not_given(_of_file(Path(weights), own), given)
    is_text = isinstance(weights, str)
    found = _set(weights, own, {**(defaults or {}), **given}) if is_text else None
    if found is None and is_text and re.fullmatch(r"hf://[\w.-]+/[\w.-]+", weights):
        tag = weights.removeprefix("hf://")
        if all(each.metadata.tag != tag for each in SETS):  # those are of another network
            path, metadata = fetch_repository(tag, constructor)
            return _not_given(dataclasses.replace(_of_file(path, own), metadata=metadata), given)
    if found is None:
        raise ValueError(
            "The `weights` argument should be either `None` (random initialization), 'imagenet' "
            "(pre-training on ImageNet), 'cifar10', a tag, or the path to the weights file to be "
            f"loaded. For {constructor} there is {_listed(own)}.  Received: weights={weights}"
        )
    usual = {**(defaults or {}), **found.arguments}
    for key, value in given.items():
        if key not in NEUTRAL and key in usual and value != usual[key]:
            raise ValueError(
                f"`{key}` must be {usual[key]!r} for weights={weights!r}: {found.metadata.tag} was "
                f"trained so. Received: {key}={value!r}"
            )
    return Choice(set=found, metadata=found.metadata, arguments=found.arguments)


def _not_given(choice: Choice, given: Mapping[str, Any]) -> Choice:
    """The choice without the arguments that the caller gave: of a file these may be right."""
    arguments = {key: each for key, each in choice.arguments.items() if key not in given}
    return dataclasses.replace(choice, arguments=arguments)


def _set(weights: str, own: list[WeightSet], arguments: Mapping[str, Any]) -> WeightSet | None:
    """The set that a word or a tag means."""
    if weights == "imagenet":
        return next((each for each in own if each.is_default), None)
    if weights == "cifar10":
        ours = [each for each in own if each.metadata.tag.startswith("cifar10/")]
        fitting = (each for each in ours if each.arguments.items() <= arguments.items())
        return next(fitting, None)
    tag = weights.removeprefix("hf://")
    return next((each for each in own if each.metadata.tag == tag), None)


def _listed(own: list[WeightSet]) -> str:
    names = [repr(each.metadata.tag) for each in own]
    if any(each.is_default for each in own):
        names.insert(0, "'imagenet'")
    if any(each.metadata.tag.startswith("cifar10/") for each in own):
        names.insert(0, "'cifar10'")
    return ", ".join(names) or "no public set; `keras-attn models --weights` lists those of others"


def _of_file(path: Path, own: list[WeightSet]) -> Choice:
    if path.name.endswith(KERAS_SUFFIXES):
        metadata = _metadata_in(path) if path.suffix == ".keras" else None
        sets = [each for each in own if metadata and each.metadata.tag == metadata.tag]
        return Choice(path, metadata=metadata, arguments=sets[0].arguments if sets else {})
    tensors = read_tensors(path)
    naming = naming_of(tensors, path)
    sets = [each for each in own if each.naming is naming]
    alike = bool(sets) and all(each.arguments == sets[0].arguments for each in sets)
    arguments = sets[0].arguments if alike else {}
    metadata = None
    if len(sets) == 1:  # a file of this format; whose, and how good, isn't known
        metadata = dataclasses.replace(
            sets[0].metadata,
            tag=path.name,
            source=f"a file in the format of {sets[0].metadata.tag}",
            licence="",
            top1=None,
            top1_on="",
            sha256=None,
        )
    return Choice(path, (tensors, naming), metadata=metadata, arguments=arguments)


def _metadata_in(path: Path) -> Metadata | None:
    """What a `.keras` file remembers of its weights."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = list(_metadata_of(json.loads(archive.read("config.json"))))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None  # load_weights says what is wrong with the file
    return Metadata.from_dict(found[0]) if found else None


def _metadata_of(config: Any) -> list[Mapping[str, Any]]:
    if isinstance(config, list):
        return [each for part in config for each in _metadata_of(part)]
    if not isinstance(config, dict):
        return []
    if config.get("class_name") == "LevelMarker":
        metadata = config["config"].get("metadata")
        return [] if metadata is None else [metadata]
    return [each for part in config.values() for each in _metadata_of(part)]
