"""The charts of a report as files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from keras_attn._staging import written_whole
from keras_attn.classifiers.networks import NetworkClassifier
from keras_attn.data import ImageDataset
from keras_attn.report import charts
from keras_attn.report.answers import measure
from keras_attn.report.history import read_history

FOLDER, LAST = "plots", "reliability"


def has_plots(folder: str | os.PathLike[str]) -> bool:
    """Whether a run's folder has all of `write_plots`, which may have been killed meanwhile."""
    return Path(folder, FOLDER, f"{LAST}.png").exists()


def write_plots(
    classifier: NetworkClassifier,
    dataset: ImageDataset,
    folder: str | os.PathLike[str],
    *,
    done: Callable[[int], None] | None = None,
) -> dict[str, Path]:
    """Measures a network on a data set's held-out images, and draws what came of its training.

    The pictures go to `plots` in the run's folder, in place of earlier ones: `curves.png` with the
    loss and the accuracy by epoch, `accuracy_by_class.png`, `confusion.png` and `reliability.png`.

    Args:
        classifier: A network, see `keras_attn.classifiers.open_classifier`.
        dataset: The data set.
        folder: The run's folder, finished or not.
        done: Function that is told of each image that is done.

    Returns:
        The files by their names: `"curves"`, where the folder has a history, and so on.

    Raises:
        ValueError: If the classes don't fit.
        OSError: If a file can't be written.
    """
    answers = measure(classifier, dataset, done)
    history = read_history(folder)
    figures = {
        **({} if history is None else {"curves": charts.curves(history)}),
        "accuracy_by_class": charts.accuracy_by_class(answers),
        "confusion": charts.confusion(answers),
        LAST: charts.reliability(answers),
    }
    out = Path(folder, FOLDER)
    out.mkdir(exist_ok=True)
    (out / f"{LAST}.png").unlink(missing_ok=True)
    for name, figure in figures.items():
        with written_whole(out / f"{name}.png") as written:
            figure.savefig(written, format="png", dpi=150)
    return {name: out / f"{name}.png" for name in figures}
