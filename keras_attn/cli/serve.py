"""`keras-attn serve`: serve an exported network over TF Serving's REST protocol."""

from __future__ import annotations

import argparse
import logging

HELP = "serve an exported network over TF Serving's REST protocol"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("path", help="the model's base folder, as `export` wrote it")
    parser.add_argument("--name", help="name in the URL; default: the folder's")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8501, help="default: %(default)s")


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn import serving

    logging.basicConfig(format="%(message)s", level=logging.INFO)
    serving.serve(args.path, name=args.name, host=args.host, port=args.port)
