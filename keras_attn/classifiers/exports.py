"""Exports, run by the runtime that they are for: TensorFlow, ONNX Runtime, LiteRT."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn._extras import need
from keras_attn.classifiers.classifier import Classifier
from keras_attn.classifiers.kinds import Source
from keras_attn.images import Preprocessing

Arrays = Mapping[str, np.ndarray]
# What `keras_attn.export` calls its files and outputs.
DEFAULT = "serving_default"
REPORT = "assets.extra/export_report.json"
LABELS = "assets/labels.txt"


class ExportClassifier(Classifier):
    """An export of `keras_attn.export`.

    Args:
        report: The export's report.
        call: Function from images, float32 `(B, H, W, C)`, to the named outputs.
        channels: Channels of its images.
        class_names: Name of each class, or `None` where the export has none.
        one_by_one: Whether the export takes one image at a time.
    """

    def __init__(
        self,
        report: Mapping[str, Any],
        call: Callable[[np.ndarray], Arrays],
        channels: int,
        class_names: list[str] | None,
        *,
        one_by_one: bool = False,
    ) -> None:
        preprocessing = Preprocessing(**report["preprocessing"])
        super().__init__(tuple(class_names or ()), preprocessing, channels)
        self._call = call
        self._one_by_one = one_by_one

    def run(self, images: np.ndarray) -> np.ndarray:
        """Images as the network takes them, float32 `(B, H, W, C)` -> probabilities `(B, k)`."""
        batches = [image[None] for image in images] if self._one_by_one else [images]
        found = np.concatenate([_probabilities(self._call(batch)) for batch in batches])
        if not self.class_names:
            self.class_names = tuple(str(label) for label in range(found.shape[-1]))
        return found


def open_export(source: Source) -> ExportClassifier:
    """Opens an export.

    Raises:
        ValueError: If nothing beside it says what it takes: `keras_attn.export` has not written it.
        OSError: If a file can't be read.
        ImportError: If its runtime is not installed.
    """
    openers: Mapping[str, Callable[[Path], ExportClassifier]] = {
        "saved_model": _saved_model,
        "onnx": _onnx,
        "tflite": _tflite,
    }
    return openers[source.kind](Path(source.place))


def _saved_model(folder: Path) -> ExportClassifier:
    report = _report(folder, folder / REPORT)
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    function = loaded.signatures[DEFAULT]
    [spec] = function.structured_input_signature[1].values()
    labels = folder / LABELS
    names = labels.read_text(encoding="utf-8").splitlines() if labels.exists() else None

    def call(images: np.ndarray) -> Arrays:
        answer = function(image=tf.constant(images))
        return {name: value.numpy() for name, value in answer.items()}

    found = ExportClassifier(report, call, spec.shape[-1], names)
    found.loaded = loaded  # type: ignore[attr-defined]  # its variables live as long as it does
    return found


def _onnx(path: Path) -> ExportClassifier:
    report = _report(path, Path(f"{path}.report.json"))
    need("onnxruntime")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    [image] = session.get_inputs()
    names = [output.name for output in session.get_outputs()]

    def call(images: np.ndarray) -> Arrays:
        return dict(zip(names, session.run(names, {image.name: images}), strict=True))

    return ExportClassifier(report, call, image.shape[-1], report["class_names"])


def _tflite(path: Path) -> ExportClassifier:
    report = _report(path, Path(f"{path}.report.json"))
    need("ai_edge_litert")
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    kernels = plain if report["refused_by_xnnpack"] else OpResolverType.AUTO
    interpreter = Interpreter(model_path=str(path), experimental_op_resolver_type=kernels)
    run = interpreter.get_signature_runner(DEFAULT)
    channels = int(run.get_input_details()["image"]["shape"][-1])

    def call(images: np.ndarray) -> Arrays:
        return dict(run(image=images))

    return ExportClassifier(report, call, channels, report["class_names"], one_by_one=True)


def _report(export: Path, file: Path) -> Mapping[str, Any]:
    """What was written beside an export."""
    try:
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(
            f"{export} has no {file.name} beside it, which says what it takes: only exports of "
            "keras_attn are run, with their reports"
        ) from error
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not report.get("preprocessing") or not report["preprocessing"].get("size"):
        raise ValueError(f"{file} does not say which images the network takes")
    return report


def _probabilities(outputs: Arrays) -> np.ndarray:
    return np.asarray(outputs.get("probabilities", outputs.get("outputs")), "float32")
