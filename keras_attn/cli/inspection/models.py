"""`keras-attn models`: list the networks with what they cost, their weights, or attention."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keras_attn._hints import did_you_mean
from keras_attn.cli.arguments import add_json, add_overwrite
from keras_attn.cli.library import import_library
from keras_attn.cli.paths import check_new_file
from keras_attn.cli.stages import say
from keras_attn.cli.tables import print_json, print_table

if TYPE_CHECKING:
    from keras_attn.applications.common.names import Network
    from keras_attn.applications.common.published import Published
    from keras_attn.cost.table import Cost

HELP = "List the networks with what they cost, their pretrained weights, or the attention."
EXAMPLE = "keras-attn models se_resnet --weights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "part",
        nargs="?",
        default="",
        metavar="NAME",
        help="List only those with this in their names. By default all.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--weights",
        action="store_true",
        help="List the pretrained weights that there are, or show the card of a single set.",
    )
    what.add_argument(
        "--attention",
        action="store_true",
        help="List the kinds of attention: what each adds to ResNet-50, and its weights.",
    )
    parser.add_argument(
        "--count",
        action="store_true",
        help="Build each network and count now, which takes minutes for all of them.",
    )
    parser.add_argument("--csv", metavar="FILE", help="Write names and costs to this file, too.")
    add_json(parser)
    add_overwrite(parser, "the file of --csv")


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    if args.csv:
        check_new_file("csv", args.csv, overwrite=args.overwrite)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    if args.attention:
        _attention(args)
    elif args.weights:
        _weights(args)
    else:
        _networks(args)


def _networks(args: argparse.Namespace) -> None:
    from keras_attn.applications.common.names import NETWORKS, network_name, networks_with
    from keras_attn.cost.table import read_costs, write_costs

    names = networks_with(args.part) or [network_name(args.part)]
    known = {} if args.count else read_costs()
    costs = {}
    for i, name in enumerate(names, start=1):
        if name not in known:
            say(f"[{i}/{len(names)}] counting {name} ...")
        costs[name] = known[name] if name in known else _count(name)
    if args.csv:
        write_costs(costs, args.csv)
    if args.json:
        print_json([_described(name, NETWORKS[name], costs[name]) for name in names])
    else:
        _print_networks({name: NETWORKS[name] for name in names}, costs)


def _count(name: str) -> Cost:
    import_library()
    import keras

    from keras_attn.applications import get_model
    from keras_attn.cost import count_cost

    cost = count_cost(get_model(name)())
    keras.backend.clear_session()  # or all the networks stay in memory
    return cost


def _described(name: str, network: Network, cost: Cost) -> dict[str, Any]:
    return {
        "name": name,
        "constructor": network.constructor,
        "arguments": dict(network.arguments),
        "input_shape": list(cost.input_shape),
        "parameters": cost.parameters,
        "trainable": cost.trainable,
        "macs": cost.macs,
        "published": network.published._asdict() if network.published else None,
        "source": network.source,
    }


def _print_networks(networks: Mapping[str, Network], costs: Mapping[str, Cost]) -> None:
    """The table: what we count, what is published, and how far apart they are."""
    rows, notes = [], []
    for name, network in networks.items():
        cost, published = costs[name], network.published
        theirs, note = of_published(published, cost), ""
        if published and published.note:
            notes += [] if published.note in notes else [published.note]
            note = f" [{notes.index(published.note) + 1}]"
        cells = (
            name,
            "x".join(map(str, cost.input_shape[:2])),
            f"{cost.parameters:,}",
            f"{cost.trainable:,}",
            f"{cost.macs / 1e9:.3f}",
            f"{cost.flops / 1e9:.3f}",
            *theirs,
            network.source + note,
        )
        rows.append(dict(zip(_COLUMNS, cells, strict=True)))
    listed = "".join(f"\n[{i}] {note}" for i, note in enumerate(notes, start=1))
    print_table(
        rows,
        narrow=("name", "weights", "GMACs", "their weights", "their cost"),
        right=",".join(_COLUMNS[1:-1]),
        notes=_CONVENTION + listed,
    )


_COLUMNS = (
    "name",
    "input",
    "weights",
    "trainable",
    "GMACs",
    "GFLOPs",
    "their weights",
    "differ",
    "their cost",
    "differs",
    "source",
)
_CONVENTION = """
weights: all, the moving statistics of BatchNormalization among them.
GMACs, GFLOPs: convolutions, dense layers and attention's products for one image, nothing else;
  one multiply-accumulate (MAC) is two FLOPs, whatever a paper calls them.
theirs: as the source prints it; "=" where ours rounds to that, else how ours differs."""


def of_published(published: Published | None, cost: Cost) -> tuple[str, str, str, str]:
    """Weights as the source prints them, how ours differ; and so for the compute.

    Args:
        published: What the source prints, if anything.
        cost: What we count.
    """
    if published is None:
        return "", "", "", ""
    of_counts = {"all": cost.parameters, "trainable": cost.trainable}
    of_compute = cost.flops if published.compute.endswith("FLOPs") else cost.macs
    return (
        published.parameters,
        _difference(published.parameters, of_counts[published.counted]),
        published.compute,
        _difference(published.compute, of_compute),
    )


def _difference(published: str, ours: int) -> str:
    from keras_attn.applications.common.published import printed_value

    if not published:
        return ""
    value, rounding = printed_value(published)
    if abs(ours - value) <= rounding:
        return "="
    difference = f"{ours / value - 1:+.1%}"
    return "<0.1%" if difference in ("+0.0%", "-0.0%") else difference


def _weights(args: argparse.Namespace) -> None:
    from keras_attn.weights.sources import SETS, card

    sets = card.find_sets(args.part)
    if not sets:
        known = [name for each in SETS for name in (each.metadata.tag, each.metadata.network)]
        raise ValueError(
            "`part` must be in the name of a network that has weights, or in a tag. "
            f"Received: part={args.part!r}{did_you_mean(args.part, known)}"
        )
    if args.json:
        print_json([{**each.metadata.as_dict(), "url": each.file.url} for each in sets])
    elif len(sets) == 1:
        print(card.weights_card(sets[0]))
    else:
        rows: list[dict[str, str]] = [
            dict(zip(card.HEADER, card.row(each), strict=True)) for each in sets
        ]
        print_table(rows, narrow=("weights=", "network", "licence", "top-1"), notes=card.FOOTER)


def _attention(args: argparse.Namespace) -> None:
    from keras_attn.cost import attention

    costs = attention.attention_rows()
    kinds = [kind for kind in costs if args.part in kind and kind != "none"]
    if not kinds:
        raise ValueError(
            "`part` must be in the name of a kind of attention. "
            f"Received: part={args.part!r}{did_you_mean(args.part, costs)}"
        )
    if args.json:
        print_json({kind: dataclasses.asdict(costs[kind]) for kind in kinds})
        return
    print_table(
        [row for row in attention.attention_cells() if row["kind"] in kinds],
        narrow=("kind", "paper", "form", "parameters", "MMACs", "step ms", "sets"),
        right="parameters,of all,MMACs,forward ms,step ms,step MiB,sets",
        notes=attention.attention_notes(),
    )
