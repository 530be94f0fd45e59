"""The plots that a training leaves in its folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_attn.cli.stages import counted, say, warn

if TYPE_CHECKING:
    from keras_attn.data import ImageDataset


def add_plots(parser: Any) -> None:
    """The flag that leaves them out."""
    parser.add_argument(
        "--no-plots",
        dest="plots",
        action="store_false",
        help="Draw no plots of the training into the folder.",
    )


def draw_plots(
    args: argparse.Namespace, data: ImageDataset, *, was_finished: bool
) -> dict[str, Path]:
    """Draws them, where this process is the one that writes.

    Of a run that was finished before, only where they are missing: it may have been killed between
    its last epoch and its last plot.

    Returns:
        Their folder as `"plots"`, or nothing.
    """
    from keras_attn._extras import need
    from keras_attn.classifiers.kinds import find_source
    from keras_attn.classifiers.networks import open_network
    from keras_attn.training.placement.cluster import read_cluster

    if not args.plots or not read_cluster().is_chief:
        return {}
    try:
        need("matplotlib")
    except ModuleNotFoundError as error:
        say(f"no plots: {error}")
        return {}
    from keras_attn.report.plots import has_plots, write_plots

    if was_finished and has_plots(args.out):
        return {}
    try:
        with counted("plotting", data.test_size) as done:
            write_plots(open_network(find_source(args.out)), data, args.out, done=done)
    except OSError as error:  # the run is whole without them
        warn(f"no plots: {error}")
        return {}
    return {"plots": Path(args.out, "plots")}
