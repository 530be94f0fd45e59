"""What the conversions of a SavedModel have in common: what they must equal, and their reports."""

import json
import os
import pathlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from keras_attn._staging import written_whole
from keras_attn.export.checks.comparison import image_shapes
from keras_attn.export.checks.loaders import Arrays, run_session, signature_definitions
from keras_attn.export.graph.signatures import DEFAULT
from keras_attn.export.reasons import reason_of
from keras_attn.export.saved_model import LABELS_FILE, REPORT_FILE
from keras_attn.images import Preprocessing


class Reference:
    """`serving_default` of a SavedModel: what a conversion of it must equal.

    Attributes:
        folder: The SavedModel.
        shape: `(None, H, W, C)` of its images, with `None` for open sizes.
        outputs: Their names.
        noise: How far the SavedModel itself might be from its network, by output: the bounds of
            its report, which know what the network makes of roundings.
    """

    def __init__(self, saved_model: str | os.PathLike[str]) -> None:
        self.folder = pathlib.Path(saved_model)
        if not (self.folder / "saved_model.pb").is_file():
            raise FileNotFoundError(
                "`saved_model` must be a version folder, with saved_model.pb in it. "
                f"Received: saved_model={os.fspath(saved_model)!r}"
            )
        definition = signature_definitions(self.folder)[DEFAULT]
        dims = definition.inputs["image"].tensor_shape.dim
        self.shape = tuple(None if dim.size < 0 else dim.size for dim in dims)
        self.outputs = sorted(definition.outputs)
        report = self.folder / REPORT_FILE
        self._report = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
        self.noise: dict[str, float] = {}
        for check in self._report.get("checks", ()):
            if check.get("signature") == DEFAULT:
                name = check["output"]
                self.noise[name] = max(self.noise.get(name, 0.0), check["bound"])

    def __call__(self, *batches: np.ndarray) -> list[Arrays]:
        """Batches of float images (B, H, W, C) -> what the SavedModel gives for each."""
        return run_session(self.folder, [(DEFAULT, {"image": images}) for images in batches])

    def description(self) -> dict[str, Any]:
        """What a report says of where a conversion is from, and of how it is to be asked."""
        labels = self.folder / "assets" / LABELS_FILE
        names = labels.read_text(encoding="utf-8").splitlines() if labels.exists() else None
        return {
            "saved_model": str(self.folder),
            "preprocessing": self._report.get("preprocessing"),
            "class_names": names,
        }

    def images(self) -> list[np.ndarray]:
        """Random ones of several batch and image sizes, in the range that the network takes."""
        generator = np.random.default_rng(0)
        drawn = [generator.random(shape, np.float32) for shape in image_shapes(self.shape)]
        if not self._report.get("preprocessing"):
            return drawn
        preprocessing = Preprocessing(**self._report["preprocessing"])
        return [preprocessing.normalise(255 * images) for images in drawn]


def compare(
    reference: Reference, run: Callable[[np.ndarray], Arrays], what: str, bound: float
) -> list[dict[str, Any]]:
    """Runs a conversion beside the SavedModel; raises RuntimeError where they differ.

    Args:
        reference: The SavedModel.
        run: The conversion, from images to named outputs.
        what: Name of the format, for the error.
        bound: Largest difference, relative to the greatest value where that is over 1; where the
            SavedModel's own bound is wider, that holds.

    Returns:
        A record of each output at each size.
    """
    records = []
    batches = reference.images()
    for images, expected in zip(batches, reference(*batches), strict=True):
        actual = run_or_say(what, run, images)
        for name, value in expected.items():
            got = actual.get(name)
            if got is None or got.shape != value.shape:
                raise RuntimeError(
                    f"{what} must give `{name}` of shape {value.shape}. Received: "
                    f"{None if got is None else got.shape} for images of shape {images.shape}"
                )
            limit = bound * max(1.0, float(np.max(np.abs(value), initial=0.0)))
            limit = max(limit, reference.noise.get(name, 0.0))
            difference = float(np.max(np.abs(got - value), initial=0.0))
            if not difference <= limit:  # so that NaN fails
                raise RuntimeError(
                    f"{what}'s `{name}` must equal the SavedModel's to {limit:.3g}. Received: max "
                    f"abs difference={difference:.3g} for images of shape {images.shape}"
                )
            records.append(
                {
                    "output": name,
                    "input_shape": list(images.shape),
                    "max_difference": difference,
                    "bound": limit,
                }
            )
    return records


def run_or_say(what: str, run: Callable[[np.ndarray], Arrays], images: np.ndarray) -> Arrays:
    """Runs a conversion; raises RuntimeError, in one line, where its runtime can't."""
    try:
        return run(images)
    except Exception as error:  # the runtimes' exceptions have no common class
        raise RuntimeError(
            f"{what} can't be run on images of shape {images.shape}: {reason_of(error)}"
        ) from error


def check_path(path: str | os.PathLike[str], suffix: str) -> pathlib.Path:
    """The path, which must end so."""
    if pathlib.Path(path).suffix != suffix:
        raise ValueError(f"`path` must end in {suffix!r}. Received: path={os.fspath(path)!r}")
    return pathlib.Path(path)


@contextmanager
def with_report(path: pathlib.Path) -> Iterator[tuple[pathlib.Path, dict[str, Any]]]:
    """Gives another path to write to, and a report to fill; moves both into place at the end.

    The report goes to `<path>.report.json`. On a failure neither is there, and what was before is.
    """
    report: dict[str, Any] = {}
    with written_whole(f"{path}.report.json") as beside, written_whole(path) as written:
        yield written, report
        beside.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
