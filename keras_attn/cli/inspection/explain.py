"""`keras-attn explain`: draw where a network looks in images, or its gates by class."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from keras_attn.cli.arguments import add_data, add_overwrite
from keras_attn.cli.output import read_data
from keras_attn.cli.paths import check_new_file, find_images
from keras_attn.cli.sources import add_network, check_network, open_network, pixels_of
from keras_attn.cli.stages import stage
from keras_attn.cli.tables import print_table

if TYPE_CHECKING:
    from keras_attn.classifiers.networks import NetworkClassifier

HELP = "Draw where a network looks in images, or its gates by class."
EXAMPLE = "keras-attn explain runs/digits cat.png --out attention.png"
METHODS = (
    "attention",
    "rollout",
    "grad_cam",
    "grad_cam++",
    "hires_cam",
    "integrated_gradients",
    "occlusion",
)  # those of keras_attn.explain, which can't be imported before the work begins


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_network(parser)
    parser.add_argument(
        "image", metavar="IMAGE", nargs="*", help="An image file, such as PNG or JPEG."
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="PNG file to draw the picture into."
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        help="How it is found out. By default the network's own attention where that has places, "
        "and Grad-CAM otherwise.",
    )
    parser.add_argument(
        "--layer",
        metavar="NAME",
        help="Name of a layer, or `all` for the last of each stage. By default all with "
        "attention, or the last that has a map.",
    )
    parser.add_argument(
        "--class",
        dest="target",
        metavar="CLASS",
        help="Name or number of the class that is explained. By default the most likely one.",
    )
    parser.add_argument("--head", type=int, metavar="N", help="Head of a self-attention map.")
    parser.add_argument(
        "--profiles",
        action="store_true",
        help="Draw the mean gates of each class instead, over the held-out images of --data, and "
        "print how much each layer's differ between classes.",
    )
    add_data(parser)
    add_overwrite(parser, "the file of --out")


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    check_network(args)
    check_new_file("out", args.out, overwrite=args.overwrite)
    if args.profiles:
        given = [name for name in ("image", "method", "target", "head") if getattr(args, name)]
        if given:
            raise ValueError(
                "`profiles` draws classes, not images: it goes with `layer` and `data` alone. "
                f"Received: profiles=True and {', '.join(given)}"
            )
        if args.source.kind not in ("run", "unfinished") and not args.data:
            raise ValueError(
                "`data` must say which images give the gates, as it is no run that has its own. "
                f"Received: source={args.source.place!r}, no --data"
            )
        return
    if not args.image:
        raise ValueError("`image` must be an image file, or several. Received: none")
    args.image = find_images("image", args.image)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    network = open_network(args.source)
    if args.profiles:
        _draw_profiles(network, args)
        return
    import numpy as np

    from keras_attn.explain import explain

    pixels = np.stack([pixels_of(network, path) for path in args.image])
    print(
        explain(
            network.model,
            network.preprocessing.normalise(pixels),
            args.out,
            args.layer,
            method=args.method,
            target=args.target,
            head=args.head,
            class_names=network.class_names,
            pixels=pixels,
        )
    )


def _draw_profiles(network: NetworkClassifier, args: argparse.Namespace) -> None:
    from keras_attn._extras import need

    need("matplotlib")
    from keras_attn.data.batches.tensorflow_pipeline import evaluation_batches
    from keras_attn.explain import class_profiles, draw_profiles, selectivity

    own: Any = network.record["data"] if network.record else {"name": args.data, "seed": 0}
    options = {"image_size": network.preprocessing.size} if args.data else own["options"]
    data = read_data(args.data or own["name"], data_dir=args.data_dir, seed=own["seed"], **options)
    batches = (
        (network.preprocessing.normalise(images), labels)
        for images, labels in evaluation_batches(data, 128)
    )
    layers = None if args.layer in (None, "all") else [args.layer]
    with stage(f"averaging the gates over {data.test_size:,} images"):
        profiles = class_profiles(network.model, batches, layers=layers)
    print_table(
        [
            {
                "layer": name,
                "channels": str(profiles[name].mean.shape[1]),
                "selectivity": f"{value:.3f}",
            }
            for name, value in selectivity(profiles).items()
        ],
        narrow=["layer", "channels", "selectivity"],
        right="channels,selectivity",
    )
    print(draw_profiles(profiles, args.out, class_names=data.class_names))
