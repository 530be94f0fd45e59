"""The card that goes with an exported network: what it is, what it takes, where it comes from."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_attn._version import __version__
from keras_attn.export.graph.signatures import Signature
from keras_attn.images import Preprocessing


def model_card(
    model: keras.Model,
    signatures: Mapping[str, Signature],
    *,
    preprocessing: Preprocessing | None,
    class_names: Sequence[str] | None,
    record: Mapping[str, Any] | None,
) -> str:
    """Writes the card, Markdown.

    Args:
        model: The network.
        signatures: The signatures of its SavedModel.
        preprocessing: The steps that its signatures do to pixels.
        class_names: The names of its classes.
        record: The record of its training, as a run's `run.json` has it.
    """
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    lines = [
        f"# {model.name}",
        "",
        f"{model.count_params():,} weights. Exported on {today} by keras_attn {__version__}, Keras "
        f"{keras.__version__}, TensorFlow {tf.__version__}.",
        "",
        "## Signatures",
        "",
        "| name | takes | dtype | shape |",
        "|---|---|---|---|",
    ]
    for name, signature in signatures.items():
        spec = signature.spec
        lines.append(f"| `{name}` | `{spec.name}` | {spec.dtype.name} | {spec.shape} |")
    lines += ["", "## Preprocessing", "", _describe(preprocessing)]
    if class_names is not None:
        shown = ", ".join(class_names[:10]) + (", ..." if len(class_names) > 10 else "")
        lines += ["", "## Classes", "", f"{len(class_names)}, in `labels.txt`: {shown}"]
    if record:
        lines += ["", "## Training", ""]
        lines += [f"- {key}: {value}" for key, value in _of_record(record).items()]
    return "\n".join(lines) + "\n"


def _describe(preprocessing: Preprocessing | None) -> str:
    if preprocessing is None:
        return "Not known: `serving_default` takes images as the network does."
    size = "any" if preprocessing.size is None else "{}x{}".format(*preprocessing.size)
    how = "whole" if preprocessing.crop is None else f"centre crop of {preprocessing.crop}"
    values = "pixel values 0..255"
    if preprocessing.mean is not None or preprocessing.std is not None:
        values += f", minus {preprocessing.mean}, divided by {preprocessing.std}"
    return (
        f"Files and raw pixels: size {size}, {how}, {preprocessing.interpolation} with "
        f"antialiasing; {values}. `serving_default` takes images as the network does.\n\n"
        "Files are JPEG, PNG, GIF, BMP of 8 bits and more, or WebP without an animation; of an "
        "animated GIF the first picture counts. They are set upright as EXIF says; 16 bits keep "
        "their high byte; transparency and colour profiles are left out."
    )


def _of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    data = record.get("data", {})
    known = {
        "data": data.get("name"),
        "images": data.get("train_size"),
        "metrics on held-out images": record.get("metrics"),
        "arguments": record.get("arguments"),
        "seconds": record.get("seconds"),
        "date": record.get("date"),
    }
    return {key: value for key, value in known.items() if value is not None}
