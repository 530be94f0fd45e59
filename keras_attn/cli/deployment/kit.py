"""`keras-attn kit`: write what a model is run with in production."""

from __future__ import annotations

import argparse

from keras_attn.cli.arguments import add_overwrite

HELP = "Write configuration, Compose, Kubernetes and KServe files for TF Serving."
EXAMPLE = "keras-attn kit --model served/digits --out kit"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "--model",
        required=True,
        metavar="FOLDER",
        help="Base folder of the model, as `export` wrote it.",
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="Folder to write into.")
    parser.add_argument("--name", help="Name of the model. By default that of its folder.")
    parser.add_argument(
        "--image",
        default="tensorflow/serving:2.20.0",
        help="Container image of TF Serving. Default: %(default)s.",
    )
    parser.add_argument(
        "--claim",
        default="models",
        help="Name of the volume claim that holds the models. Default: %(default)s.",
    )
    parser.add_argument(
        "--cores", type=int, default=4, metavar="N", help="Cores of a server. Default: %(default)s."
    )
    add_overwrite(parser, "a kit in the folder")


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn.serving.kit.kit import write_kit

    names = ("name", "image", "claim", "cores")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    folder = write_kit(args.model, args.out, **given, overwrite=args.overwrite)
    print(f"written: {folder}; begin with {folder / 'README.md'}")
