"""What networks cost, as a table: reading and writing it."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keras_attn._staging import written_whole

# What `keras-attn models` prints without counting; `keras-attn models --count --csv` writes it.
COSTS = Path(__file__).with_name("costs.csv")


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: All weights, the moving statistics of BatchNormalization among them.
        trainable: The trainable weights.
        macs: Multiply-accumulates of a forward pass for one image; see `count_cost`.
        input_shape: The image's shape for which they were counted.
        uncounted: Operations of the graph, as TensorFlow calls them, of which it isn't known what
            they cost, such as `RFFT`. They count zero.
    """

    parameters: int
    trainable: int
    macs: int
    input_shape: tuple[int, ...]
    uncounted: tuple[str, ...] = ()

    @property
    def flops(self) -> int:
        """Floating-point operations: two for each multiply-accumulate."""
        return 2 * self.macs


def read_costs(path: str | os.PathLike[str] = COSTS) -> dict[str, Cost]:
    """Reads what `write_costs` wrote; by default, the table of this version's networks."""
    with open(path, encoding="utf-8", newline="") as file:
        return {
            row["name"]: Cost(
                parameters=int(row["parameters"]),
                trainable=int(row["trainable"]),
                macs=int(row["macs"]),
                input_shape=tuple(int(size) for size in row["input_shape"].split("x")),
            )
            for row in csv.DictReader(file)
        }


def write_costs(costs: Mapping[str, Cost], path: str | os.PathLike[str]) -> None:
    """Writes a table of names and costs as CSV."""
    with written_whole(path) as whole, open(whole, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "input_shape", "parameters", "trainable", "macs"])
        for name, cost in costs.items():
            shape = "x".join(map(str, cost.input_shape))
            writer.writerow([name, shape, cost.parameters, cost.trainable, cost.macs])
