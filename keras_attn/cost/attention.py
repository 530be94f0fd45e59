"""What each kind of attention adds to ResNet-50: parameters, multiply-accumulates, time."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_attn._staging import written_whole
from keras_attn.applications import ResNet50
from keras_attn.cost.count import count_cost
from keras_attn.kinds import KINDS

# What `keras-attn models --attention` prints; `python benchmarks/attention_family.py` writes it.
ATTENTION_COSTS = Path(__file__).with_name("attention_costs.csv")

FIELDS = ("kind", "parameters", "macs", "forward_ms", "step_ms")
NOTES = """
added to ResNet-50 (224x224, {parameters:,} trainable parameters, {gmacs:.3f} GMACs) by
  ResNet50(attention=kind), where its paper has it. What stands instead of 3x3 convolutions may
  take away more than it adds.
ms: for one image, medians of rounds by turns with the plain network. {run}
Users report CBAM and BAM below plain ResNet-50 on small data sets (CUB, VOC:
  github.com/Jongchan/attention-module, issue 24), and timm's docstring of CBAM has its doubts, too.
What a paper gains on ImageNet need not be gained elsewhere: train the plain network beside it."""


@dataclass(frozen=True)
class AttentionCost:
    """What a kind of attention adds to ResNet-50.

    Attributes:
        parameters: Trainable weights, less those that it replaces.
        macs: Multiply-accumulates for one image; see `keras_attn.cost.count_cost`.
        forward_ms: Milliseconds of a forward pass for one image, or `None` if not measured.
        step_ms: Milliseconds of a training step for one image, or `None`.
    """

    parameters: int
    macs: int
    forward_ms: float | None = None
    step_ms: float | None = None


def count_attention_costs(kinds: Sequence[str] | None = None) -> dict[str, AttentionCost]:
    """Builds ResNet-50 with each kind of attention and counts: a minute for all of them.

    Args:
        kinds: Names of `keras_attn.kinds.KINDS`; by default all. `"none"` is the plain
            network, whose costs are its own.

    Returns:
        The cost of each kind by its name, and that of the plain network as `"none"`.

    Raises:
        ValueError: If there is no such kind.
        RuntimeError: If Keras does not run on TensorFlow.

    Example:

    >>> count_attention_costs(["eca"])["eca"].parameters
    86
    """
    base = count_cost(ResNet50())
    costs = {"none": AttentionCost(base.trainable, base.macs)}
    for kind in KINDS if kinds is None else kinds:
        if kind == "none":
            continue
        cost = count_cost(ResNet50(attention=kind))
        keras.backend.clear_session()  # or all the networks stay in memory
        costs[kind] = AttentionCost(cost.trainable - base.trainable, cost.macs - base.macs)
    return costs


def read_attention_costs(
    path: str | os.PathLike = ATTENTION_COSTS,
) -> tuple[dict[str, AttentionCost], str]:
    """Reads what `write_attention_costs` wrote; by default, the table of this version.

    Returns:
        The costs by kind, `"none"` being the plain network; and how they were measured.
    """
    with open(path, encoding="utf-8", newline="") as file:
        run = file.readline().removeprefix("#").strip()
        costs = {
            row["kind"]: AttentionCost(
                int(row["parameters"]),
                int(row["macs"]),
                *(float(row[key]) if row[key] else None for key in FIELDS[3:]),
            )
            for row in csv.DictReader(file)
        }
    return costs, run


def write_attention_costs(
    costs: Mapping[str, AttentionCost], path: str | os.PathLike, run: str
) -> None:
    """Writes a table of kinds and costs as CSV.

    Args:
        costs: The costs by kind.
        path: The file.
        run: How they were measured, in one line: command, date, hardware, versions.
    """
    with written_whole(path) as whole, open(whole, "w", encoding="utf-8", newline="") as file:
        file.write(f"# {run}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for kind, cost in costs.items():
            times = ("" if x is None else f"{x:.3f}" for x in (cost.forward_ms, cost.step_ms))
            writer.writerow([kind, cost.parameters, cost.macs, *times])


def attention_table(path: str | os.PathLike = ATTENTION_COSTS) -> str:
    """The table as `keras-attn models --attention` prints it, with its notes.

    Args:
        path: A file of `write_attention_costs`; by default that of this version.

    Returns:
        Lines of text, a kind each.

    Example:

    >>> print(attention_table().splitlines()[0].split()[:4])
    ['kind', 'layer', 'parameters', 'of']
    """
    costs, run = read_attention_costs(path)
    base = costs["none"]
    rows: list[tuple[str, ...]] = [
        ("kind", "layer", "parameters", "of all", "MMACs", "forward ms", "step ms", "stands")
    ]
    for kind, cost in costs.items():
        if kind == "none":
            continue
        rows.append(
            (
                kind,
                KINDS[kind].layer.__name__,
                f"{cost.parameters:+,}",
                f"{cost.parameters / base.parameters:+.1%}",
                f"{cost.macs / 1e6:+,.1f}",
                *("-" if x is None else f"{x:+.2f}" for x in (cost.forward_ms, cost.step_ms)),
                f"{_STANDS[KINDS[kind].placement]}: {KINDS[kind].source}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if 2 <= i < 7 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    notes = NOTES.format(parameters=base.parameters, gmacs=base.macs / 1e9, run=run)
    return "\n".join(lines) + "\n" + notes


_STANDS = {"standard": "on each branch", "convolution": "for the 3x3", "post": "behind blocks"}
