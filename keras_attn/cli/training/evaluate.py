"""`keras-attn evaluate`: measure a trained network on held-out images."""

from __future__ import annotations

import argparse
from typing import Any

from keras_attn.cli.arguments import add_data, add_json
from keras_attn.cli.output import print_metrics, read_data
from keras_attn.cli.sources import EXPORTS, NETWORKS, open_source
from keras_attn.cli.stages import counted, library_log, stage, warn
from keras_attn.cli.tables import print_json

HELP = "Measure a trained network on held-out images."
EXAMPLE = "keras-attn evaluate runs/digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "source", metavar="SOURCE", help=f"A trained network: {NETWORKS}; {EXPORTS}."
    )
    add_data(parser)
    parser.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="Leave out files of --data that can't be read, rather than stop and list them.",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=128,
        metavar="N",
        help="Images in a batch; the result is the same. Default: %(default)s.",
    )
    shape = parser.add_mutually_exclusive_group()
    add_json(shape)
    shape.add_argument("--csv", action="store_true", help="Print CSV: loss, accuracy and images.")


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    from keras_attn.classifiers.kinds import find_source
    from keras_attn.data.options import check_data_place

    if args.batch_size < 1:
        raise ValueError(
            f"`batch_size` must be a positive integer. Received: batch_size={args.batch_size}"
        )
    args.source = find_source(args.source)
    if args.source.kind not in ("run", "unfinished") and not args.data:
        raise ValueError(
            "`data` must say which images to measure it on, as it is no run that has its own. "
            f"Received: source={args.source.place!r}, no --data"
        )
    if args.data:
        check_data_place(args.data, args.data_dir)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    classifier = open_source(args.source)
    from keras_attn.classifiers.evaluation import evaluate_classifier
    from keras_attn.classifiers.networks import NetworkClassifier
    from keras_attn.training import evaluate

    record = getattr(classifier, "record", None)
    own = record["data"] if record else {"name": args.data, "seed": 0}
    how = classifier.preprocessing
    options: dict[str, Any] = {
        "image_size": how.size,
        "squash": how.crop is None,
        "crop": how.crop,
        "interpolation": how.interpolation,
        "skip_unreadable": args.skip_unreadable,
    }
    if record and not args.data:
        options = record.data_options()
    data = read_data(args.data or own["name"], data_dir=args.data_dir, seed=own["seed"], **options)
    if not args.data and data.fingerprint() != own["fingerprint"]:
        warn(
            "the data differ from those that were trained on: images that are held out now may "
            "have been among them"
        )
    with library_log():
        if record is not None and isinstance(classifier, NetworkClassifier):
            with stage(f"evaluating on {data.test_size:,} images"):
                metrics = evaluate(classifier.model, data, batch_size=args.batch_size)
        else:
            with counted("evaluating", data.test_size) as done:
                metrics = evaluate_classifier(classifier, data, done=done)
    if args.json:
        print_json({**metrics, "images": data.test_size})
    elif args.csv:
        print(",".join([*metrics, "images"]))
        print(",".join(map(str, [*metrics.values(), data.test_size])))
    else:
        print_metrics(metrics, data.test_size)
