"""The charts of a report."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_attn.report.answers import Answers

TRAINING, HELD_OUT = "#26508a", "#c2571a"
MOST_NUMBERS = 20  # classes up to which a confusion matrix has its numbers written in


def curves(history: Mapping[str, Sequence[float | None]]) -> Figure:
    """Loss and accuracy by epoch, of the training and of the held-out images."""
    figure = Figure((8, 3), layout="constrained")
    axes = figure.subplots(1, 2)
    epochs = np.arange(1, 1 + len(next(iter(history.values()))))
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        for key, colour, label in (
            (name, TRAINING, "training"),
            (f"val_{name}", HELD_OUT, "held out"),
        ):
            if key in history:
                values = np.array(history[key], "float64")
                there = np.isfinite(values)
                axis.plot(epochs[there], values[there], color=colour, label=label, marker=".")
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_ylabel(name)
        axis.legend(frameon=False)
        _plain(axis)
    return figure


def confusion(answers: Answers) -> Figure:
    """The confusion matrix: rows are the right classes, columns what was said."""
    counts, names = answers.confusion, answers.class_names
    side = min(9.0, 2.5 + 0.45 * len(names))
    figure = Figure((side, side), layout="constrained")
    axis = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xlabel("said")
    axis.set_ylabel("right")
    if len(names) <= MOST_NUMBERS:
        axis.set_xticks(range(len(names)), names, rotation=90)
        axis.set_yticks(range(len(names)), names)
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    return figure


def accuracy_by_class(answers: Answers) -> Figure:
    """A bar for each class, the worst first; of many classes the 30 worst."""
    shares = answers.accuracy_by_class
    order = [index for index in np.argsort(shares) if np.isfinite(shares[index])][:30]
    figure = Figure((8, 0.6 + 0.24 * len(order)), layout="constrained")
    axis = figure.subplots()
    axis.barh([answers.class_names[index] for index in order], shares[order], color=TRAINING)
    axis.axvline(answers.accuracy, color=HELD_OUT, linewidth=1)
    axis.set_xlim(0, 1)
    axis.invert_yaxis()
    axis.set_xlabel("share found; the line is that of all images")
    _plain(axis)
    return figure


def reliability(answers: Answers) -> Figure:
    """The share of right answers by confidence: a calibrated classifier follows the diagonal."""
    confidence, right, count = answers.reliability()
    figure = Figure((4.5, 4), layout="constrained")
    axis = figure.subplots()
    bins = len(count)
    axis.bar((np.arange(bins) + 0.5) / bins, np.nan_to_num(right), 0.9 / bins, color=TRAINING)
    axis.plot(confidence, right, ".", color=HELD_OUT)
    axis.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share right")
    _plain(axis)
    return figure


def gates(selectivities: Mapping[str, float]) -> Figure:
    """How class-specific the gates of each layer are, in the network's order."""
    figure = Figure((8, 0.6 + 0.24 * len(selectivities)), layout="constrained")
    axis = figure.subplots()
    axis.barh(list(selectivities), list(selectivities.values()), color=TRAINING)
    axis.invert_yaxis()
    axis.set_xlabel("variance between classes / variance within them")
    _plain(axis)
    return figure


def svg(figure: Figure) -> str:
    """A chart as SVG that stands in the page itself."""
    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "keras_attn"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]


def _plain(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
