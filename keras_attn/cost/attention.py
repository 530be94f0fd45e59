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
    path: str | os.PathLike[str] = ATTENTION_COSTS,
) -> tuple[dict[str, AttentionCost], str]:
    """Reads what `write_attention_costs` wrote; by default, the table of this version.

    Returns:
        The costs by kind, `"none"` being the plain network; and how they were measured.
    """
    rows, run = _read(path)
    return {row["kind"]: AttentionCost(*_numbers(row)) for row in rows}, run


def attention_rows(path: str | os.PathLike[str] = ATTENTION_COSTS) -> dict[str, AttentionRow]:
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


def _read(path: str | os.PathLike[str]) -> tuple[list[dict[str, str]], str]:
    with open(path, encoding="utf-8", newline="") as file:
        run = file.readline().removeprefix("#").strip()
        return list(csv.DictReader(file)), run


def _numbers(row: dict[str, str]) -> tuple[int, int, float | None, float | None]:
    forward, step = (float(row[key]) if row[key] else None for key in FIELDS[3:])
    return int(row["parameters"]), int(row["macs"]), forward, step


def attention_cells(path: str | os.PathLike[str] = ATTENTION_COSTS) -> list[dict[str, str]]:
    """The table in words: heading -> cell, a kind each.

    Args:
        path: A file of `write_attention_costs`; by default that of this version.

    Example:

    >>> attention_cells()[0]["layer"]
    'SqueezeExcite'
    """
    rows = attention_rows(path)
    base = rows["none"]
    return [
        {
            "kind": kind,
            "layer": row.layer,
            "parameters": f"{row.parameters:+,}",
            "of all": f"{row.parameters / base.parameters:+.1%}",
            "MMACs": f"{row.macs / 1e6:+,.1f}",
            "forward ms": "-" if row.forward_ms is None else f"{row.forward_ms:+.2f}",
            "step ms": "-" if row.step_ms is None else f"{row.step_ms:+.2f}",
            "stands": row.stands,
        }
        for kind, row in rows.items()
        if kind != "none"
    ]


def attention_notes(path: str | os.PathLike[str] = ATTENTION_COSTS) -> str:
    """What the table's columns are, and how they were measured.

    Args:
        path: A file of `write_attention_costs`; by default that of this version.
    """
    costs, run = read_attention_costs(path)
    base = costs["none"]
    return NOTES.format(parameters=base.parameters, gmacs=base.macs / 1e9, run=run)


_STANDS = {
    "standard": "on each branch",
    "pre": "before each branch",
    "convolution": "for the 3x3",
    "post": "behind blocks",
}
