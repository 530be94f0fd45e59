"""`keras-attn predict`: classify an image file, here or on a server."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_attn.cli.arguments import add_json
from keras_attn.cli.paths import check_file
from keras_attn.cli.runs import check_run, load_run
from keras_attn.cli.tables import print_json

HELP = "Classify an image file, by a run or on a server."
EXAMPLE = "keras-attn predict --run runs/digits cat.png --top 3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", dest="folder", metavar="RUN", help="Folder of a run.")
    source.add_argument(
        "--server",
        metavar="URL",
        help="URL of a served model, such as http://HOST:PORT/v1/models/NAME.",
    )
    parser.add_argument("image", metavar="IMAGE", help="An image file, such as PNG or JPEG.")
    parser.add_argument(
        "--labels", metavar="FILE", help="File with the name of a class on each line, for --server."
    )
    parser.add_argument(
        "--top",
        type=int,
        default=3,
        metavar="N",
        help="How many classes to print, the likeliest first. Default: %(default)s.",
    )
    add_json(parser)


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    if args.top < 1:
        raise ValueError(f"`top` must be a positive integer. Received: top={args.top}")
    if args.folder:
        check_run(args.folder)
    check_file("image", args.image)
    if args.labels:
        check_file("labels", args.labels)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn.images import read_image

    if args.folder:
        model, record = load_run(args.folder)
        image = read_image(args.image, record.image_shape())
        probabilities = model.predict(image[None].astype("float32"), verbose=0)[0].tolist()
        names = record.class_names(model)
    else:
        from keras_attn.serving.clients import client

        signatures = client.signatures(args.server)
        if client.SERVE_BYTES in signatures and not args.labels:
            [answer] = client.classify(args.server, [Path(args.image).read_bytes()])
            probabilities, names = answer["scores"], answer["labels"]
        else:
            image = read_image(args.image, client.input_shape(args.server)[1:])
            # Raw pixels, where the model takes them: its default may take other values.
            pixels = client.SERVE_UINT8 if client.SERVE_UINT8 in signatures else None
            [answer] = client.predict(args.server, [image.tolist()], signature_name=pixels)
            probabilities = answer["probabilities"] if isinstance(answer, dict) else answer
            names = [str(i) for i in range(len(probabilities))]
        if args.labels:
            names = Path(args.labels).read_text(encoding="utf-8").splitlines()
            if len(names) != len(probabilities):
                raise ValueError(
                    f"`--labels` must have a line for each of the {len(probabilities)} classes. "
                    f"Received: {args.labels} with {len(names)} lines"
                )
    ranked = sorted(zip(probabilities, names, strict=True), reverse=True)
    if args.json:
        print_json([{"class": name, "probability": share} for share, name in ranked[: args.top]])
        return
    for probability, name in ranked[: args.top]:
        print(f"{probability:7.2%}  {name}")
