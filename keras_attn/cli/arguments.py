"""Arguments that several commands have."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from keras_attn.data.options import DATA_OPTIONS
from keras_attn.training.config import OPTIONS, TrainingConfig
from keras_attn.training.options import option_of

EPOCHS = 4  # where neither a flag nor a recipe says how many, and there are images enough


DATA_HELP = (
    "'digits', a folder with a folder of images for each class, or a name of tensorflow-datasets."
)


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """How much a command says; all have it."""
    group = parser.add_argument_group("what is said").add_mutually_exclusive_group()
    group.add_argument(
        "--quiet", action="store_true", help="Say nothing but results, warnings and errors."
    )
    group.add_argument(
        "--verbose",
        dest="loud",
        action="store_true",
        help="Show TensorFlow's log, too, and the traceback of an error.",
    )


def add_overwrite(parser: Any, what: str) -> None:
    """The flag without which nothing that is there is replaced."""
    parser.add_argument("--overwrite", action="store_true", help=f"Replace {what}.")


def add_json(parser: Any) -> None:
    """The flag for programs that read the output."""
    parser.add_argument("--json", action="store_true", help="Print JSON, and nothing else.")


def add_data(parser: argparse.ArgumentParser) -> None:
    """The data set of a command that takes a run's own by default."""
    parser.add_argument("--data", help=f"{DATA_HELP} By default the run's own.")
    _add_data_dir(parser)


def _add_data_dir(parser: Any) -> None:
    parser.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="Folder in which tensorflow-datasets has the data set prepared. By default it is its "
        "own folder, into which it downloads what is missing.",
    )


def add_training(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """A data set, the options of a training, and what becomes of an earlier run in the folder.

    Each flag is `None` where it isn't given: what counts then is the recipe's, or the library's.

    Returns:
        The last group of flags, on how it runs.
    """
    group = parser.add_argument_group("data")
    group.add_argument("--data", help=f"{DATA_HELP} Default: digits.")
    _add_data_dir(group)
    group.add_argument(
        "--image-size",
        type=int,
        nargs="+",
        metavar="SIDE",
        help="Height and width that images are resized to, or one number for both. By default the "
        "data set's own, or the network's usual ones where images differ in size or are larger.",
    )
    group.add_argument(
        "--squash",
        action="store_const",
        const=True,
        help="Resize whole photographs, whatever their proportions, rather than to cut out their "
        "centre.",
    )
    group.add_argument(
        "--crop",
        type=float,
        metavar="SHARE",
        help="Share of a photograph's shorter side that is evaluated. By default as the weights "
        "ask, or 0.875.",
    )
    group.add_argument(
        "--interpolation",
        choices=("bilinear", "bicubic"),
        help="How photographs are resized. By default as the weights ask, or bilinear.",
    )
    group.add_argument(
        "--limit", type=int, metavar="N", help="Train on N images only. By default on all."
    )
    group.add_argument(
        "--label-noise",
        type=float,
        metavar="SHARE",
        help="Share of the training labels that are made wrong. Default: 0.",
    )
    group.add_argument(
        "--test-share",
        type=float,
        metavar="SHARE",
        help="Share of each class that is held out, of a folder that is not split. Default: 0.2.",
    )
    group.add_argument(
        "--skip-unreadable",
        action="store_const",
        const=True,
        help="Leave out files of a folder that can't be read, rather than stop and list them.",
    )
    groups = {"data": group}
    for name in ("schedule", "how it runs"):
        groups[name] = parser.add_argument_group(name)
    _add_options(groups)
    group = groups["how it runs"]
    group.add_argument(
        "--worker-timeout",
        type=float,
        default=300,
        metavar="SECONDS",
        help="Seconds to wait for the other workers. Default: %(default)s.",
    )
    group.add_argument(
        "--restart",
        dest="resume",
        action="store_false",
        help="Discard an unfinished training in the folder, rather than go on with it.",
    )
    add_overwrite(group, "the finished run in the folder, or train the same one again")
    return group


def _add_options(groups: dict[str, Any]) -> None:
    """A flag for each option of a training that a command line can say."""
    for field in dataclasses.fields(TrainingConfig):
        option = option_of(field)
        arguments = dict(option.rule.flag)
        if arguments.get("type") in (int, float):
            arguments.setdefault("metavar", "N" if arguments["type"] is int else "X")
        if arguments:
            groups[option.group].add_argument(
                "--" + field.name.replace("_", "-"),
                help=_help(option.text, field.default),
                **arguments,
            )


def _help(text: str, default: Any) -> str:
    if default is dataclasses.MISSING:
        return f"{text} Default: {EPOCHS}, or as many as make 300 updates."
    text = text.replace("%", "%%")
    if default is None or isinstance(default, bool):  # said in the text, or that of a switch
        return text
    if isinstance(default, tuple):
        default = " ".join(map(str, default))
    return f"{text} Default: {default}."


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """What was given of a data set and of the options of a training."""
    names = {"model", "data", *DATA_OPTIONS, *OPTIONS}
    given = {k: v for k, v in vars(args).items() if v is not None and k in names}
    if "image_size" in given and len(given["image_size"]) == 1:
        given["image_size"] = given["image_size"][0]
    return given
