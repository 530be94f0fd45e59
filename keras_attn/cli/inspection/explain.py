"""`keras-attn explain`: draw what an attention layer looks at in an image."""

from __future__ import annotations

import argparse

from keras_attn.cli.arguments import add_overwrite, add_run
from keras_attn.cli.paths import check_file, check_new_file
from keras_attn.cli.runs import check_run, load_run

HELP = "Draw what an attention layer looks at in an image."
EXAMPLE = "keras-attn explain runs/digits cat.png --out attention.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_run(parser)
    parser.add_argument("image", metavar="IMAGE", help="An image file, such as PNG or JPEG.")
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="PNG file to draw the picture into."
    )
    parser.add_argument(
        "--layer",
        metavar="NAME",
        help="Name of the attention layer. By default the first with a mask or a map.",
    )
    add_overwrite(parser, "the file of --out")


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    check_run(args.folder)
    check_file("image", args.image)
    check_new_file("out", args.out, overwrite=args.overwrite)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    model, record = load_run(args.folder)
    from keras_attn.explain import explain
    from keras_attn.images import read_image

    image = read_image(args.image, record.image_shape())
    print(explain(model, image, args.out, args.layer))
