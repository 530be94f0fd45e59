"""`keras-attn models`: list the networks with what they cost, or their weights."""

from __future__ import annotations

import argparse
import sys
from typing import Any

HELP = "list the networks, with what they cost"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("part", nargs="?", default="", help="only names with this in them")
    parser.add_argument(
        "--count", action="store_true", help="build and count each now: minutes for all of them"
    )
    parser.add_argument("--csv", metavar="FILE", help="write names and costs to this file, too")
    parser.add_argument(
        "--weights",
        action="store_true",
        help="the pretrained weights that there are; of a single set its card",
    )
    parser.add_argument(
        "--attention", action="store_true", help="what each kind of attention adds to ResNet-50"
    )


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    if args.attention:
        from keras_attn.cost.attention import attention_table

        print(attention_table())
        return
    if args.weights:
        _print_weights(args.part)
        return
    from keras_attn.applications import MODELS, get_model
    from keras_attn.cost import read_costs, write_costs

    names = [name for name in MODELS if args.part in name]
    if not names:
        get_model(args.part)  # raises, with the names nearest to it
    known = {} if args.count else read_costs()
    costs = {}
    for i, name in enumerate(names, start=1):
        if name not in known:
            print(f"[{i}/{len(names)}] counting {name} ...", file=sys.stderr, flush=True)
        costs[name] = known[name] if name in known else _count(MODELS[name])
    _print_models({name: MODELS[name] for name in names}, costs)
    if args.csv:
        write_costs(costs, args.csv)


def _print_weights(part: str) -> None:
    from keras_attn.weights.card import find_sets, weights_card, weights_table

    sets = find_sets(part)
    if not sets:
        raise ValueError(f"No weights have {part!r} in their names. `keras-attn models --weights`")
    print(weights_card(sets[0]) if len(sets) == 1 else weights_table(part))


def _count(entry: Any) -> Any:
    import keras

    from keras_attn.cost import count_cost

    cost = count_cost(entry())
    keras.backend.clear_session()  # or all the networks stay in memory
    return cost


def _print_models(entries: dict[str, Any], costs: dict[str, Any]) -> None:
    """The table: what we count, what is published, and how far apart they are."""
    rows: list[tuple[str, ...]] = [
        ("name", "input", "weights", "trainable", "GMACs", "GFLOPs", *_PUBLISHED, "source")
    ]
    notes: list[str] = []
    for name, entry in entries.items():
        cost, published = costs[name], entry.published
        size = f"{entry.input_size}x{entry.input_size}"
        ours = (f"{cost.parameters:,}", f"{cost.trainable:,}")
        compute = (f"{cost.macs / 1e9:.3f}", f"{cost.flops / 1e9:.3f}")
        theirs, note = ("",) * 4, ""
        if published:
            of_counts = {"all": cost.parameters, "trainable": cost.trainable}
            of_compute = cost.flops if published.compute.endswith("FLOPs") else cost.macs
            theirs = (
                published.parameters,
                _difference(published.parameters, of_counts[published.counted]),
                published.compute,
                _difference(published.compute, of_compute),
            )
            if published.note:
                notes += [] if published.note in notes else [published.note]
                note = f" [{notes.index(published.note) + 1}]"
        rows.append((name, size, *ours, *compute, *theirs, entry.source + note))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if i in (0, len(row) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    print(_CONVENTION)
    for i, note in enumerate(notes, start=1):
        print(f"[{i}] {note}")


_PUBLISHED = ("published", "differs", "published", "differs")
_CONVENTION = """
weights: all, the moving statistics of BatchNormalization among them.
GMACs, GFLOPs: convolutions, dense layers and attention's products for one image, nothing else;
  one multiply-accumulate (MAC) is two FLOPs, whatever a paper calls them.
published: as its source prints it, and "=" where ours rounds to that, else how ours differs."""


def _difference(published: str, ours: int) -> str:
    from keras_attn.applications.common.registry import printed_value

    if not published:
        return ""
    value, rounding = printed_value(published)
    return "=" if abs(ours - value) <= rounding else f"{ours / value - 1:+.1%}"
