"""What each kind of attention adds to ResNet-50, as a table: parameters, MACs, time."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

# What `keras-attn models --attention` prints; `python benchmarks/attention_family.py` writes it.
ATTENTION_COSTS = Path(__file__).with_name("attention_costs.csv")

FIELDS = ("kind", "parameters", "macs", "forward_ms", "step_ms")
DESCRIBED = ("layer", "placement", "source")  # of a kind, as `keras_attn.kinds.KINDS` has them
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


@dataclass(frozen=True)
class AttentionRow(AttentionCost):
    """A row of the table: what a kind costs, and what it is.

    Attributes:
        layer: Name of its layer.
        stands: Where it stands in ResNet-50, and whence the place.
    """

    layer: str = ""
    stands: str = ""


def read_attention_costs(
    path: str | os.PathLike = ATTENTION_COSTS,
) -> tuple[dict[str, AttentionCost], str]:
    """Reads what `write_attention_costs` wrote; by default, the table of this version.

    Returns:
        The costs by kind, `"none"` being the plain network; and how they were measured.
    """
    rows, run = _read(path)
    return {row["kind"]: AttentionCost(*_numbers(row)) for row in rows}, run


def attention_rows(path: str | os.PathLike = ATTENTION_COSTS) -> dict[str, AttentionRow]:
    """What each kind costs, and what it is; `"none"` is the plain network.

    Args:
        path: A file of `write_attention_costs`; by default that of this version.
    """
    return {
        row["kind"]: AttentionRow(
            *_numbers(row),
            layer=row["layer"],
            stands=f"{_STANDS.get(row['placement'], '')}: {row['source']}",
        )
        for row in _read(path)[0]
    }


def _read(path: str | os.PathLike) -> tuple[list[dict[str, str]], str]:
    with open(path, encoding="utf-8", newline="") as file:
        run = file.readline().removeprefix("#").strip()
        return list(csv.DictReader(file)), run


def _numbers(row: dict[str, str]) -> tuple[int, int, float | None, float | None]:
    forward, step = (float(row[key]) if row[key] else None for key in FIELDS[3:])
    return int(row["parameters"]), int(row["macs"]), forward, step


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
    costs, run = attention_rows(path), _read(path)[1]
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
                cost.layer,
                f"{cost.parameters:+,}",
                f"{cost.parameters / base.parameters:+.1%}",
                f"{cost.macs / 1e6:+,.1f}",
                *("-" if x is None else f"{x:+.2f}" for x in (cost.forward_ms, cost.step_ms)),
                cost.stands,
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
