"""`keras-attn explain`: draw what an attention layer looks at in an image."""

from __future__ import annotations

import argparse

from keras_attn.cli.arguments import add_overwrite
from keras_attn.cli.paths import check_file, check_new_file
from keras_attn.cli.sources import add_network, check_network, open_network, pixels_of

HELP = "Draw what an attention layer looks at in an image."
EXAMPLE = "keras-attn explain runs/digits cat.png --out attention.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_network(parser)
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
    check_network(args)
    check_file("image", args.image)
    check_new_file("out", args.out, overwrite=args.overwrite)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    network = open_network(args.source)
    from keras_attn.explain import explain

    if network.preprocessing.mean is not None:
        raise ValueError(
            "`source` must be a network that takes pixels, as `include_preprocessing=True` makes "
            f"it. Received: source={args.source.place!r}, which takes normalised images"
        )
    print(explain(network.model, pixels_of(network, args.image), args.out, args.layer))
