"""`keras-attn evaluate`: measure a trained network on held-out images."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from keras_attn.cli.arguments import add_data, add_run
from keras_attn.cli.output import print_metrics
from keras_attn.cli.runs import load_run

HELP = "measure a trained network on held-out images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_run(parser)
    add_data(parser)
    parser.add_argument("--batch-size", type=int, default=128)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn import training

    model, record = load_run(args.folder)
    own = record["data"]
    options: dict[str, Any] = (
        dict(own["options"]) if not args.data else {"image_size": record.image_shape()[:2]}
    )
    data = training.load_dataset(
        args.data or own["name"], data_dir=args.data_dir, seed=own["seed"], **options
    )
    if not args.data and data.fingerprint() != own["fingerprint"]:
        print(
            "keras-attn: warning: the data differ from those that were trained on: images that are "
            "held out now may have been among them",
            file=sys.stderr,
        )
    print_metrics(training.evaluate(model, data, batch_size=args.batch_size), data.test_size)
