"""`keras-attn report`: one page on what became of a training."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_attn.cli.arguments import add_overwrite
from keras_attn.cli.output import read_data
from keras_attn.cli.paths import check_new_file
from keras_attn.cli.sources import check_network, open_network
from keras_attn.cli.stages import counted, library_log, warn

HELP = "Write a page on what became of a training: accuracy by class, errors, calibration."
EXAMPLE = "keras-attn report runs/digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("source", metavar="RUN", help="Folder of a run, finished or not.")
    parser.add_argument(
        "--out", metavar="FILE", help="HTML file of the page. Default: report.html in the folder."
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", help="Where tensorflow-datasets keeps its data sets."
    )
    parser.add_argument(
        "--images",
        type=int,
        default=12,
        metavar="N",
        help="Number of errors, and of hits, whose pictures are shown. Default: %(default)s.",
    )
    add_overwrite(parser, "the file of --out")


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    place = args.source
    check_network(args)
    if args.source.kind not in ("run", "unfinished"):
        raise ValueError(f"`source` must be the folder of a run. Received: source={place!r}")
    if args.images < 0:
        raise ValueError(f"`images` must be 0 or more. Received: images={args.images}")
    args.out = args.out or str(Path(place) / "report.html")
    check_new_file("out", args.out, overwrite=args.overwrite)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn._extras import need

    need("matplotlib", "jinja2")
    network = open_network(args.source)
    from keras_attn.report import write_report

    own = network.record["data"]  # type: ignore[index]  # a run has its record
    data = read_data(own["name"], data_dir=args.data_dir, seed=own["seed"], **own["options"])
    if data.fingerprint() != own["fingerprint"]:
        warn("the data differ from those that were trained on")
    with library_log(), counted("measuring", data.test_size) as done:
        write_report(
            network, data, args.out, folder=args.source.place, images=args.images, done=done
        )
    print(args.out)
