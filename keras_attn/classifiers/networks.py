"""Keras models: of runs, files, tags of weights, and keras.applications."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_attn._hints import did_you_mean
from keras_attn.applications import get_model
from keras_attn.applications.imagenet import class_names_of_imagenet
from keras_attn.applications.inputs import (
    answering,
    caption_search,
    find_class_names,
    find_preprocessing,
    scored,
)
from keras_attn.classifiers.classifier import Classifier
from keras_attn.classifiers.kinds import APPLICATIONS, Source, network_of_tag
from keras_attn.classifiers.run_record import RunRecord
from keras_attn.images import Preprocessing
from keras_attn.training.run_folder.files import DESCRIPTION_FILE, RUN_FILE, UNFINISHED
from keras_attn.training.run_folder.record import read_record
from keras_attn.training.run_folder.runs import load_run
from keras_attn.training.run_folder.unfinished import load_unfinished
from keras_attn.weights.formats.keras_archive import check_keras_archive


class NetworkClassifier(Classifier):
    """A Keras model.

    Attributes:
        model: Functional or Sequential model from float32 `(B, H, W, C)` to probabilities.
        record: The record of its training, where that is known.
        notes: What was taken for granted.
    """

    def __init__(
        self,
        model: keras.Model,
        class_names: tuple[str, ...],
        preprocessing: Preprocessing,
        *,
        record: RunRecord | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(class_names, preprocessing, model.inputs[0].shape[-1])
        self.model = model
        self.record = record
        self.notes = notes

    def run(self, images: np.ndarray) -> np.ndarray:
        """Images as the network takes them, float32 `(B, H, W, C)` -> probabilities `(B, k)`."""
        writes = caption_search(self.model) is not None
        if writes or len(scored(self.model).shape) != 2:
            raise ValueError(
                f"The network {self.model.name!r} must give scores of classes, (B, K), to be asked "
                "here: export it, and ask a server. Received: outputs of shape "
                f"{tuple(scored(self.model).shape)}"
            )
        found: Any = self.model.predict_on_batch(images)
        return np.asarray(found["probabilities"] if isinstance(found, dict) else found, "float32")


def open_network(source: Source) -> NetworkClassifier:
    """Loads or builds a Keras model, with what belongs to it.

    Raises:
        ValueError: If it is an export, or a file can't be read.
        OSError: If a file can't be read, or weights can't be had.
    """
    opened: Mapping[str, Callable[[str], NetworkClassifier]] = {
        "run": _of_run,
        "unfinished": _of_unfinished,
        "keras": _of_file,
        "tag": _of_tag,
        "applications": _of_keras_applications,
    }
    if source.kind not in opened:
        raise ValueError(
            "`source` must be a Keras model here: the folder of a run, a .keras file, a tag of "
            f"weights or keras.applications.NAME. Received: source={source.place!r}, an export"
        )
    return opened[source.kind](source.place)


def _of_run(place: str) -> NetworkClassifier:
    model, record = load_run(place)
    return _as_trained(model, RunRecord(record, Path(place, RUN_FILE)))


def _of_unfinished(place: str) -> NetworkClassifier:
    model, values = load_unfinished(place)
    record = RunRecord(values, Path(place, UNFINISHED, DESCRIPTION_FILE))
    note = (
        f"unfinished: after epoch {record['unfinished']} of {record['arguments']['epochs']} "
        "of its training"
    )
    found = _as_trained(model, record)
    found.notes = (note,)
    return found


def _as_trained(model: keras.Model, record: RunRecord) -> NetworkClassifier:
    """A network is given what it was evaluated with in its training."""
    names, preprocessing = record.class_names(model), record.preprocessing()
    return NetworkClassifier(model, names, preprocessing, record=record)


def _of_file(place: str) -> NetworkClassifier:
    check_keras_archive(Path(place))
    try:
        model = keras.saving.load_model(place, compile=False)
    except Exception as error:  # a damaged zip, an unknown layer, ...
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{place} can't be read as a Keras model: {reason}") from error
    beside = Path(place).parent / RUN_FILE
    if beside.exists():  # best.keras, in the folder of a run
        return _as_trained(model, RunRecord(read_record(beside), beside))
    model = answering(model)
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        raise ValueError(
            f"{place} must be a network of one image input (B, H, W, C). Received: inputs "
            f"{[tuple(each.shape) for each in model.inputs]}"
        )
    search = caption_search(model)
    if search is not None and search.words is None:
        numbers: Sequence[str] = ["", *map(str, range(1, search.decoder.vocabulary_size))]
    else:
        numbers = [str(label) for label in range(scored(model).shape[-1] or 0)]
    names = find_class_names(model) or numbers
    preprocessing, notes = find_preprocessing(model), []
    if preprocessing is None:
        preprocessing = Preprocessing()
        notes.append(f"{place} does not say what it takes: it is given pixels of 0 to 255")
    if preprocessing.size is None:
        sides = tuple(model.inputs[0].shape[1:3])
        if None in sides:
            raise ValueError(
                f"{place} takes images of any size, and does not say of which. Received: input "
                f"shape {tuple(model.inputs[0].shape)}"
            )
        preprocessing = dataclasses.replace(preprocessing, size=sides)
    return NetworkClassifier(model, tuple(names), preprocessing, notes=tuple(notes))


def _of_tag(place: str) -> NetworkClassifier:
    model = get_model(network_of_tag(place))(weights=place, include_preprocessing=True)
    names, preprocessing = find_class_names(model), find_preprocessing(model)
    if names is None or preprocessing is None:
        raise ValueError(f"The weights {place!r} don't say what their classes and images are")
    return NetworkClassifier(model, tuple(names), preprocessing)


def _of_keras_applications(place: str) -> NetworkClassifier:
    constructors = {
        name.lower(): getattr(keras.applications, name)
        for name in dir(keras.applications)
        if name[:1].isupper()
    }
    if place.lower() not in constructors:
        names = [each.__name__ for each in constructors.values()]
        raise ValueError(
            f"`source` must be {APPLICATIONS}NAME with a network that Keras has. Received: "
            f"source={APPLICATIONS + place!r}{did_you_mean(place, names)}"
        )
    constructor: Any = constructors[place.lower()]
    network = constructor(weights="imagenet")
    # The network's module has the preprocessing of its weights.
    preprocess = sys.modules[constructor.__module__].preprocess_input
    image = keras.Input(network.input_shape[1:], name="image")
    model = keras.Model(image, network(preprocess(image)), name=network.name)
    preprocessing = Preprocessing(tuple(network.input_shape[1:3]))
    return NetworkClassifier(model, tuple(class_names_of_imagenet()), preprocessing)
