"""What each kind of attention adds to ResNet-50, as a table: parameters, MACs, time."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from pathlib import Path

# What `keras-attn models --attention` prints; `python benchmarks/attention_family.py` writes it.
ATTENTION_COSTS = Path(__file__).with_name("attention_costs.csv")

FIELDS = ("kind", "parameters", "macs", "forward_ms", "step_ms", "step_mib")
# Of a kind: the first three as `keras_attn.kinds.KINDS` has them, then as `attention_described.py`
# finds them, the tags of sets of weights with a space between.
DESCRIBED = ("layer", "placement", "source", "paper", "link", "form", "weights")
NOTES = """
added to ResNet-50 (224x224, {parameters:,} trainable parameters, {gmacs:.3f} GMACs) by
  ResNet50(attention=kind), where its paper has it. What stands instead of 3x3 convolutions may
  take away more than it adds.
sets: how many sets of published weights are read here whose networks have the kind;
  `keras-attn models --weights` lists them.
ms: for one image, medians of rounds by turns with the plain network; step MiB: for one image,
  what the first training step lets a fresh process grow by, above the plain network's. {run}
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
        step_mib: Memory of a training step for one image, or `None`.
    """

    parameters: int
    macs: int
    forward_ms: float | None = None
    step_ms: float | None = None
    step_mib: float | None = None


@dataclass(frozen=True)
class AttentionRow(AttentionCost):
    """A row of the table: what a kind costs, and what it is.

    Attributes:
        layer: Name of its layer.
        stands: Where it stands in ResNet-50, and whence the place.
        paper: The paper.
        link: Its address.
        form: The form of its attention, as `keras_attn.layers.attention_form` gives it.
        weights: Tags of the published sets of weights whose networks have it.
    """

    layer: str = ""
    stands: str = ""
    paper: str = ""
    link: str = ""
    form: str = ""
    weights: tuple[str, ...] = ()

    @property
    def cited(self) -> str:
        """The paper without its title: `"Hu et al., CVPR 2018"`."""
        return re.sub(r'"[^"]+"(, )?', "", self.paper).rstrip(", ")


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
            paper=row["paper"],
            link=row["link"],
            form=row["form"],
            weights=tuple(row["weights"].split()),
        )
        for row in _read(path)[0]
    }


def _read(path: str | os.PathLike[str]) -> tuple[list[dict[str, str]], str]:
    with open(path, encoding="utf-8", newline="") as file:
        run = file.readline().removeprefix("#").strip()
        return list(csv.DictReader(file)), run


def _numbers(row: dict[str, str]) -> tuple[int, int, float | None, float | None, float | None]:
    forward, step, memory = (float(row[key]) if row[key] else None for key in FIELDS[3:])
    return int(row["parameters"]), int(row["macs"]), forward, step, memory


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
            "paper": row.cited,
            "form": row.form.replace("_", " "),
            "parameters": f"{row.parameters:+,}",
            "of all": f"{row.parameters / base.parameters:+.1%}",
            "MMACs": f"{row.macs / 1e6:+,.1f}",
            "forward ms": _measured(row.forward_ms, 2),
            "step ms": _measured(row.step_ms, 2),
            "step MiB": _measured(row.step_mib, 1),
            "sets": str(len(row.weights) or "-"),
            "stands": row.stands,
        }
        for kind, row in rows.items()
        if kind != "none"
    ]


def _measured(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:+.{digits}f}"


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
