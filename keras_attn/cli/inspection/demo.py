"""`keras-attn demo`: the whole way on real images, with nothing to download."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_attn.cli.library import import_library
from keras_attn.cli.paths import check_file, check_out_folder

HELP = "Train on digits, export, serve, ask, draw; then serve a network that comes with weights."
EXAMPLE = "keras-attn demo --out demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "--out",
        default="demo",
        metavar="FOLDER",
        help="Folder for everything that is written. Default: %(default)s.",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        default=10,
        metavar="N",
        help="Passes over the training digits. Default: %(default)s.",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="Seed of the weights and of the order of the images. Default: %(default)s.",
    )
    parser.add_argument(
        "--photograph",
        metavar="FILE",
        help="A photograph of an airplane, automobile, bird, cat, deer, dog, frog, horse, ship or "
        "truck, for the second example. Default: a test image of CIFAR-10.",
    )


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    from keras_attn.training.config import TrainingConfig

    TrainingConfig(epochs=args.epochs, seed=args.seed)
    check_out_folder(args.out)
    if args.photograph is not None:
        check_file("photograph", args.photograph)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    import_library()
    from keras_attn import demo

    photograph = Path(args.photograph or demo.PHOTOGRAPH)
    demo.run(Path(args.out), args.epochs, args.seed, photograph=photograph)
