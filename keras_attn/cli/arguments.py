"""Arguments that several commands have."""

from __future__ import annotations

import argparse


def add_data(parser: argparse.ArgumentParser) -> None:
    """The data set of a command that takes a run's own by default."""
    parser.add_argument(
        "--data", help="'digits', or a name of tensorflow-datasets; default: the run's own"
    )
    parser.add_argument("--data-dir", help="where tensorflow-datasets has it prepared")


def add_run(parser: argparse.ArgumentParser) -> None:
    """The folder of a run."""
    parser.add_argument("folder", metavar="run", help="folder of a run, as `train` wrote it")
