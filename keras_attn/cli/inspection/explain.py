"""`keras-attn explain`: draw what an attention layer looks at in an image."""

from __future__ import annotations

import argparse

from keras_attn.cli.arguments import add_run
from keras_attn.cli.paths import check_file, check_new_file
from keras_attn.cli.runs import check_run, load_run

HELP = "draw what an attention layer looks at in an image"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_run(parser)
    parser.add_argument("image", help="an image file, such as PNG or JPEG")
    parser.add_argument("--out", required=True, help="the PNG to write")
    parser.add_argument(
        "--layer", help="name of the layer; default: the first with a mask or a map"
    )


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    check_run(args.folder)
    check_file("image", args.image)
    check_new_file("out", args.out)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    model, record = load_run(args.folder)
    from keras_attn.explain import explain
    from keras_attn.images import read_image

    image = read_image(args.image, record.image_shape())
    print(explain(model, image, args.out, args.layer))
