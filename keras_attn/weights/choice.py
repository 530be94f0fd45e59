"""What `weights=` means: a path, a set by its tag, or the usual set of a network."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from keras_attn.weights.conversion import Report
from keras_attn.weights.download import fetch
from keras_attn.weights.files import load_tensors, load_weights, naming_of
from keras_attn.weights.formats.keras2_file import read_keras2_config
from keras_attn.weights.formats.keras_archive import read_config
from keras_attn.weights.formats.reading import reading
from keras_attn.weights.formats.stored_tensor import StoredTensor
from keras_attn.weights.formats.tensors import describe_tensors, is_keras3
from keras_attn.weights.hub import fetch_repository
from keras_attn.weights.markers import set_metadata
from keras_attn.weights.metadata import Metadata
from keras_attn.weights.naming import Naming
from keras_attn.weights.sources import SETS, WeightSet

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
        tensors: Its tensors, still in it, and their naming, where Keras itself doesn't read it.
        set: The set, where `weights` names one.
        metadata: The weights' metadata, as far as they are known.
        arguments: The constructor's arguments that these weights were trained with.
    """

    path: Path | None = None
    tensors: tuple[Mapping[str, StoredTensor], Naming] | None = None
    set: WeightSet | None = None
    metadata: Metadata | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def load(self, network: keras.Model, model: keras.Model) -> Report:
        """Loads the weights, and has the model remember what belongs to them.

        Args:
            network: The network, from its image on: all its weights are set.
            model: The model that remembers the weights; it has the network in it.

        Returns:
            What was done.
        """
        if self.path is not None and self.tensors is not None:
            report = load_tensors(network, self.path, *self.tensors)
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
            f"loaded. For {constructor} there is {_listed(own)}.{_needed(weights, own)}  "
            f"Received: weights={weights}"
        )
    usual = {**(defaults or {}), **found.arguments}
    for key, value in given.items():
        if key not in NEUTRAL and key in usual and value != usual[key]:
            raise ValueError(
                f"`{key}` must be {usual[key]!r} for weights={weights!r}: {found.metadata.tag} was "
                f"trained so{_with(found)}. Received: {key}={value!r}"
            )
    return Choice(set=found, metadata=found.metadata, arguments=found.arguments)


def _not_given(choice: Choice, given: Mapping[str, Any]) -> Choice:
    """The choice without the arguments that the caller gave: of a file these may be right."""
    arguments = {key: each for key, each in choice.arguments.items() if key not in given}
    return dataclasses.replace(choice, arguments=arguments)


def _set(weights: str, own: list[WeightSet], arguments: Mapping[str, Any]) -> WeightSet | None:
    """The set that a word or a tag means."""
    if weights == "imagenet":  # the one for these arguments, where each variant has its own
        usual = [each for each in own if each.is_default]
        fitting = (each for each in usual if each.arguments.items() <= arguments.items())
        return next(fitting, usual[0] if usual else None)
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


def _needed(weights: Any, own: list[WeightSet]) -> str:
    """What a name takes that isn't right here: other arguments, or another constructor."""
    if weights == "cifar10":
        fitting = [each for each in own if each.metadata.tag.startswith("cifar10/")]
    else:
        tag = weights.removeprefix("hf://") if isinstance(weights, str) else ""
        fitting = [each for each in SETS if each.metadata.tag == tag]
    calls = (f"{each.metadata.network}({_arguments(each)})" for each in fitting)
    return f" {weights!r} is for {' or '.join(calls)}." if fitting else ""


def _with(each: WeightSet) -> str:
    return f", with {_arguments(each)}" if len(each.arguments) > 1 else ""


def _arguments(each: WeightSet) -> str:
    values = {
        key: f'"{value}"' if isinstance(value, str) else repr(value)
        for key, value in each.arguments.items()
    }
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _of_file(path: Path, own: list[WeightSet]) -> Choice:
    if is_keras3(path):
        config = read_config(path) if path.suffix == ".keras" else None
        return Choice(path, **_remembered(path, config, own))
    tensors = describe_tensors(path)
    naming = naming_of(tensors, path)
    sets = [each for each in own if each.naming is naming]
    if not sets and path.suffix == ".h5":
        remembered = _remembered(path, read_keras2_config(path), own)
        return Choice(path, (tensors, naming), **remembered)
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


def _remembered(path: Path, config: Any, own: list[WeightSet]) -> dict[str, Any]:
    """What a network's configuration remembers of its weights, and the arguments of that set."""
    with reading(path, "is no readable Keras file"):
        found = next(_metadata_of(config), None)
        metadata = None if found is None else Metadata.from_dict(found)
    sets = [each for each in own if metadata and each.metadata.tag == metadata.tag]
    return {"metadata": metadata, "arguments": sets[0].arguments if sets else {}}


def _metadata_of(config: Any) -> Iterator[Mapping[str, Any]]:
    # The legacy `.h5` gives a class the name that it is registered by.
    markers = ("LevelMarker", "keras_attn>LevelMarker")
    if isinstance(config, dict) and config.get("class_name") in markers:
        metadata = config["config"].get("metadata")
        if metadata is not None:
            yield metadata
    elif isinstance(config, dict | list):
        for part in config.values() if isinstance(config, dict) else config:
            yield from _metadata_of(part)
