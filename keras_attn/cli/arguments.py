"""Arguments that several commands have."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from keras_attn.data.options import DATA_OPTIONS
from keras_attn.training.config import OPTIONS, TrainingConfig
from keras_attn.training.options import option_of

EPOCHS = 4  # where neither a flag nor a recipe says how many


def add_data(parser: argparse.ArgumentParser) -> None:
    """The data set of a command that takes a run's own by default."""
    parser.add_argument(
        "--data", help="'digits', or a name of tensorflow-datasets; default: the run's own"
    )
    parser.add_argument("--data-dir", help="where tensorflow-datasets has it prepared")


def add_run(parser: argparse.ArgumentParser) -> None:
    """The folder of a run."""
    parser.add_argument("folder", metavar="run", help="folder of a run, as `train` wrote it")


def add_training(parser: argparse.ArgumentParser) -> None:
    """A data set, the options of a training, and what becomes of an earlier run in the folder.

    Each flag is `None` where it isn't given: what counts then is the recipe's, or the library's.
    """
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data", help="'digits' (default), a folder of images, or a name of tensorflow-datasets"
    )
    group.add_argument("--data-dir", help="where tensorflow-datasets has it prepared")
    group.add_argument("--image-size", type=int, nargs="+", help="H and W, or one for both")
    group.add_argument("--limit", type=int, help="train on this many images only")
    group.add_argument("--label-noise", type=float, help="share of wrong labels; default: 0")
    group.add_argument("--test-share", type=float, help="of a folder; default: 0.2")
    groups = {"data": group}
    for name in ("schedule", "how it runs"):
        groups[name] = parser.add_argument_group(name)
    _add_options(groups)
    group = groups["how it runs"]
    group.add_argument(
        "--worker-timeout", type=float, default=300, help="seconds to wait; default: %(default)s"
    )
    group.add_argument(
        "--restart",
        dest="resume",
        action="store_false",
        help="discard an unfinished training in the folder, rather than go on with it",
    )
    group.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the finished run in the folder, or train the same one again",
    )


def _add_options(groups: dict[str, Any]) -> None:
    """A flag for each option of a training that a command line can say."""
    for field in dataclasses.fields(TrainingConfig):
        option = option_of(field)
        if option.rule.flag:
            groups[option.group].add_argument(
                "--" + field.name.replace("_", "-"),
                help=_help(option.text, field.default),
                **option.rule.flag,
            )


def _help(text: str, default: Any) -> str:
    default = EPOCHS if default is dataclasses.MISSING else default
    text = text.removesuffix(".").replace("%", "%%")
    if text[1].islower():  # not of SGD
        text = text[0].lower() + text[1:]
    if default is None or isinstance(default, bool):  # said in the text, or that of a switch
        return text
    if isinstance(default, tuple):
        default = " ".join(map(str, default))
    return f"{text}; default: {default}"


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """What was given of a data set and of the options of a training."""
    names = {"model", "data", *DATA_OPTIONS, *OPTIONS}
    given = {k: v for k, v in vars(args).items() if v is not None and k in names}
    if "image_size" in given and len(given["image_size"]) == 1:
        given["image_size"] = given["image_size"][0]
    return given
