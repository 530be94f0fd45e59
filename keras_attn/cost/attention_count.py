"""What each kind of attention adds to ResNet-50: counting it, and writing the table."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence

import keras

from keras_attn._staging import written_whole
from keras_attn.applications import ResNet50
from keras_attn.cost.attention import DESCRIBED, FIELDS, AttentionCost
from keras_attn.cost.attention_described import form_of, paper_of, weights_with
from keras_attn.cost.count import count_cost
from keras_attn.kinds import KINDS


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


def write_attention_costs(
    costs: Mapping[str, AttentionCost], path: str | os.PathLike[str], run: str
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
        writer.writerow([*FIELDS, *DESCRIBED])
        for kind, cost in costs.items():
            measured = (cost.forward_ms, cost.step_ms, cost.step_mib)
            cells = ("" if x is None else f"{x:.3f}" for x in measured)
            writer.writerow([kind, cost.parameters, cost.macs, *cells, *_described(kind)])


def _described(kind: str) -> tuple[str, ...]:
    """The columns of `DESCRIBED`."""
    if kind == "none":
        return ("",) * len(DESCRIBED)
    of = KINDS[kind]
    place = (of.layer.__name__, of.placement, of.source)
    return (*place, *paper_of(kind), form_of(kind), " ".join(weights_with(kind)))
