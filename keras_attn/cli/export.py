"""`keras-attn export`: write a SavedModel version folder for a server."""

from __future__ import annotations

import argparse

from keras_attn.cli.arguments import add_run

HELP = "write a SavedModel version folder for a server"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_run(parser)
    parser.add_argument(
        "--out", required=True, help="the model's base folder; a version goes into it"
    )
    parser.add_argument("--version", type=int, help="default: the next one")


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn import training
    from keras_attn.export import Preprocessing, export_saved_model

    model, record = training.load_run(args.folder)
    path = export_saved_model(
        model,
        args.out,
        class_names=record["data"]["class_names"],
        version=args.version,
        preprocessing=Preprocessing(size=tuple(record["data"]["image_shape"][:2])),
        record=record,
    )
    print(f"exported, loaded back and compared: {path}")
