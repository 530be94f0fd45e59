"""`keras-attn evaluate`: measure a trained network on held-out images."""

from __future__ import annotations

import argparse

from keras_attn.cli.arguments import add_data, add_json, add_run
from keras_attn.cli.library import import_library
from keras_attn.cli.output import print_metrics, read_data
from keras_attn.cli.runs import check_run, load_run
from keras_attn.cli.stages import stage, warn

HELP = "Measure a trained network on held-out images."
EXAMPLE = "keras-attn evaluate runs/digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_run(parser)
    add_data(parser)
    parser.add_argument(
        "--batch-size",
        type=int,
        default=128,
        metavar="N",
        help="Images in a batch; the result is the same. Default: %(default)s.",
    )
    add_json(parser)


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    from keras_attn.data.options import check_data_place

    if args.batch_size < 1:
        raise ValueError(
            f"`batch_size` must be a positive integer. Received: batch_size={args.batch_size}"
        )
    check_run(args.folder)
    if args.data:
        check_data_place(args.data, args.data_dir)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    import_library()
    from keras_attn import training

    model, record = load_run(args.folder)
    own = record["data"]
    options = dict(own["options"]) if not args.data else {"image_size": record.image_shape()[:2]}
    data = read_data(args.data or own["name"], data_dir=args.data_dir, seed=own["seed"], **options)
    if not args.data and data.fingerprint() != own["fingerprint"]:
        warn(
            "the data differ from those that were trained on: images that are held out now may "
            "have been among them"
        )
    with stage(f"evaluated on {data.test_size} images"):
        metrics = training.evaluate(model, data, batch_size=args.batch_size)
    print_metrics(metrics, data.test_size)
