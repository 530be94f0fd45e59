"""One HTML file that opens offline."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from keras_attn._checks import check_int
from keras_attn._staging import written_whole
from keras_attn.classifiers.networks import NetworkClassifier
from keras_attn.cost import count_cost
from keras_attn.data import ImageDataset
from keras_attn.data.splits import RandomAccessSplit
from keras_attn.explain.profiles import class_profiles, selectivity
from keras_attn.explain.watching import attention_layers_by_name
from keras_attn.layers import attention_form
from keras_attn.report import charts
from keras_attn.report.answers import Answers, measure
from keras_attn.report.history import read_history

BATCH = 128
PICTURE = 144  # the longer side of a picture that is shrunk for the page, in pixels


def write_report(
    classifier: NetworkClassifier,
    dataset: ImageDataset,
    out: str | os.PathLike[str],
    *,
    folder: str | os.PathLike[str] | None = None,
    images: int = 12,
    done: Callable[[int], None] | None = None,
) -> Answers:
    """Measures a network on a data set's held-out images, and writes a page about it.

    The page has the curves of the training, accuracy by class, confusion matrix, calibration, the
    most confident errors, the least sure hits, cost, and how the network was trained. It needs no
    other file and no network.

    Args:
        classifier: A network, see `keras_attn.classifiers.open_classifier`.
        dataset: The data set.
        out: The HTML file. It is written whole or not at all.
        folder: The run's folder, finished or not, whose `history.csv` has the curves.
        images: How many errors and hits are shown.
        done: Function that is told of each image that is done.

    Returns:
        The answers.

    Raises:
        ValueError: If the classes don't fit, or `images` is negative.
    """
    check_int("images", images, "an integer, 0 or more", least=0)
    answers = measure(classifier, dataset, done)
    record: Mapping[str, Any] = classifier.record or {}
    history = None if folder is None else read_history(folder)
    cost = count_cost(classifier.model, classifier.model.input_shape[1:])
    page = _template().render(
        title=record.get("model", {}).get("name", classifier.model.name),
        about=f"{dataset.name}, {len(answers.labels):,} held-out images, "
        f"{len(answers.class_names)} classes",
        numbers=[
            (f"{100 * answers.accuracy:.2f} %", "accuracy"),
            (f"{answers.calibration_error():.3f}", "calibration error"),
            (f"{cost.parameters:,}", "weights"),
            (f"{cost.macs / 1e6:,.1f} M", "multiply-accumulates"),
        ],
        calibration=f"{answers.calibration_error():.4f}",
        curves=None if history is None else charts.svg(charts.curves(history)),
        by_class=charts.svg(charts.accuracy_by_class(answers)),
        confusion=charts.svg(charts.confusion(answers)),
        reliability=charts.svg(charts.reliability(answers)),
        gates=_gates(classifier, dataset, answers.labels),
        galleries=_galleries(answers, dataset, images),
        record=list(_flat(record)),
    )
    with written_whole(Path(out)) as written:
        written.write_text(page, encoding="utf-8")
    return answers


def _gates(classifier: NetworkClassifier, dataset: ImageDataset, labels: np.ndarray) -> str | None:
    """The chart of gates by class; `None` without gates, or where images can't be read again."""
    split, how = dataset.test, classifier.preprocessing
    layers = attention_layers_by_name(classifier.model)
    gates = ("channel_gate", "place_gate", "mask")
    names = [name for name, layer in layers.items() if attention_form(layer) in gates]
    if not names or not isinstance(split, RandomAccessSplit):
        return None
    is_fitted = split.image_shape[:2] == how.size

    def read(rows: np.ndarray) -> np.ndarray:
        images = split.read(rows)
        return images if is_fitted else np.stack([how.fit(image) for image in images])

    batches = (
        (how.normalise(read(rows)), labels[rows])
        for rows in np.array_split(np.arange(len(split)), -(-len(split) // BATCH))
    )
    profiles = class_profiles(classifier.model, batches, layers=names)
    finite = {k: v for k, v in selectivity(profiles).items() if np.isfinite(v)}
    return charts.svg(charts.gates(finite))


def _galleries(
    answers: Answers, dataset: ImageDataset, images: int
) -> list[tuple[str, str, list[dict[str, Any]]]]:
    split = dataset.test
    if not images or not isinstance(split, RandomAccessSplit):
        return []
    return [
        (
            "The most confident errors",
            "What a network is sure of, and wrong: often a label to look at.",
            [_picture(answers, split, number) for number in answers.confident_errors(images)],
        ),
        (
            "The least sure hits",
            "What it has right by a small margin.",
            [_picture(answers, split, number) for number in answers.unsure_hits(images)],
        ),
    ]


def _picture(answers: Answers, split: RandomAccessSplit, number: int) -> dict[str, Any]:
    pixels = np.asarray(split.read(np.array([number]))[0])
    image = Image.fromarray(np.clip(np.round(np.squeeze(pixels)), 0, 255).astype("uint8"))
    if max(image.size) > PICTURE:
        image.thumbnail((PICTURE, PICTURE))
    file = io.BytesIO()
    image.save(file, "PNG")
    return {
        "number": int(number),
        "source": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}",
        "label": answers.class_names[answers.labels[number]],
        "said": answers.class_names[answers.said[number]],
        "confidence": f"{100 * answers.confidence[number]:.1f} %",
    }


def _template() -> jinja2.Template:
    text = resources.files("keras_attn.report").joinpath("report.html.jinja").read_text("utf-8")
    return jinja2.Environment(autoescape=True).from_string(text)


def _flat(record: Any, name: str = "") -> Iterable[tuple[str, Any]]:
    """The record's values by their paths."""
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{name}{key}.")
        else:
            yield f"{name}{key}", ", ".join(map(str, value)) if isinstance(value, list) else value
