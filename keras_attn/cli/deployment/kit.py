"""`keras-attn kit`: write what a model is run with in production."""

from __future__ import annotations

import argparse

HELP = "write configuration, Compose, Kubernetes and KServe files for TF Serving"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--model", required=True, help="its base folder, as `export` wrote it")
    parser.add_argument("--out", required=True, help="a new folder")
    parser.add_argument("--name", help="the model's name; default: the folder's")
    parser.add_argument("--image", help="of TF Serving; default: tensorflow/serving:2.20.0")
    parser.add_argument("--claim", help="volume claim with the models; default: models")
    parser.add_argument("--cores", type=int, help="of a server; default: 4")


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn.serving.kit.kit import write_kit

    names = ("name", "image", "claim", "cores")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    folder = write_kit(args.model, args.out, **given)
    print(f"written: {folder}; begin with {folder / 'README.md'}")
