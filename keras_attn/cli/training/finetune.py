"""`keras-attn finetune`: train a network that has weights on other data."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_attn._hints import did_you_mean
from keras_attn.cli.arguments import EPOCHS, add_json, add_training, given_options
from keras_attn.cli.library import import_to_train
from keras_attn.cli.output import (
    name_of_data,
    print_run,
    read_data,
    say_if_finished,
    say_where_it_goes_on,
)
from keras_attn.cli.paths import check_out_folder
from keras_attn.cli.stages import library_log
from keras_attn.cli.training.plots import add_plots, draw_plots
from keras_attn.cli.training.suited import suited
from keras_attn.data.options import DATA_OPTIONS

HELP = "Train a network that has weights on other data."
STOPPED = "the same command goes on after the last epoch that was finished"
EXAMPLE = "keras-attn finetune --weights cifar10 --data photos --out runs/tuned"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "--weights",
        required=True,
        help="Folder of a run; the tag of weights, see `keras-attn models --weights`, or cifar10; "
        "or, with --model, a file of weights, or imagenet.",
    )
    parser.add_argument(
        "--model", help="Name of the network, see `keras-attn models`. By default the weights' own."
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="Folder that the model, its history and its record go to. By default one in `runs` "
        "that is called after the network and the data.",
    )
    group = parser.add_argument_group("what is trained")
    group.add_argument(
        "--through", metavar="STAGE", help="Name of the last stage that stays frozen."
    )
    group.add_argument(
        "--unfreeze-every",
        type=int,
        metavar="EPOCHS",
        help="Train the head alone at first, and one stage more after each so many epochs.",
    )
    group.add_argument(
        "--layer-decay",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="Learning rate of a stage as a share of that of the stage behind it. "
        "Default: %(default)s.",
    )
    add_plots(add_training(parser))
    add_json(parser)


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    from keras_attn.applications.common.names import NETWORKS, network_name
    from keras_attn.data.options import check_data_options, check_data_place
    from keras_attn.training.config import OPTIONS, TrainingConfig
    from keras_attn.training.run_folder.files import RUN_FILE, check_run_folder

    given = given_options(args)
    check_data_options(**{name: given[name] for name in DATA_OPTIONS if name in given})
    options = {name: given[name] for name in OPTIONS if name in given}
    TrainingConfig(**{"epochs": EPOCHS, **options})
    data = given.get("data", "digits")
    check_data_place(data, args.data_dir)
    if args.model is not None:
        args.model = network_name(args.model)
        _check_weights(args.weights, NETWORKS[args.model].constructor)
    elif Path(args.weights, RUN_FILE).exists():
        check_run_folder(Path(args.weights))
    else:
        args.model = _network_of(args.weights)
    if args.out is None:
        of = args.model or Path(args.weights).resolve().name
        args.out = os.path.join("runs", f"{of}-tuned-{name_of_data(data)}")
    check_out_folder(args.out)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    import_to_train()
    from keras_attn import training
    from keras_attn.applications import get_model
    from keras_attn.classifiers.run_record import RunRecord
    from keras_attn.finetune import finetune
    from keras_attn.training import TrainingConfig
    from keras_attn.training.run_folder.files import FINETUNE_FILE, RUN_FILE

    given = given_options(args)
    if args.quiet or args.json:
        given["verbose"] = 0
    data_options = {name: given.pop(name) for name in DATA_OPTIONS if name in given}
    name, data_name = args.model, given.pop("data", "digits")
    given.pop("model", None)
    usual_size = get_model(name).input_size if name else None
    if name is None:
        record = RunRecord(training.load_run(args.weights)[1], Path(args.weights, RUN_FILE))
        how = record.preprocessing()
        data_options.setdefault("image_size", how.size)
        if not {"squash", "crop", "interpolation"} & data_options.keys():
            data_options |= {"squash": how.crop is None, "crop": how.crop}
            data_options["interpolation"] = how.interpolation
        trained_in = record["arguments"]["mixed_precision"]
        if given.setdefault("mixed_precision", trained_in) != trained_in:
            raise ValueError(
                "`--mixed-precision` must be the run's, whose network has it in its layers. "
                f"Received: --mixed-precision {given['mixed_precision']}, a run with {trained_in}"
            )
    data = read_data(
        data_name,
        data_dir=args.data_dir,
        usual_size=usual_size,
        seed=given.get("seed", 0),
        **data_options,
    )
    config = TrainingConfig(**given, **suited(given, data, from_nothing=False))
    say_where_it_goes_on(args)
    with library_log():
        result = finetune(
            _builder(args.weights, name, data),
            data,
            args.out,
            config,
            through=args.through,
            unfreeze_every=args.unfreeze_every,
            layer_decay=args.layer_decay,
            keep_best=given.get("keep_best"),
            source=args.weights,
            resume=args.resume,
            overwrite=args.overwrite,
        )
    say_if_finished(result.run.was_finished, args.out)
    for phase in [] if args.json else result.report["phases"]:
        print(
            f"{phase['epochs']:3} epochs  trained {', '.join(phase['trained'])}"
            f" ({phase['trainable_weights']:,} weights)"
            + (f"  frozen {', '.join(phase['frozen'])}" if phase["frozen"] else "")
        )
    report = Path(args.out, FINETUNE_FILE)
    plots = draw_plots(args, data, was_finished=result.run.was_finished)
    print_run(result.run, data.test_size, as_json=args.json, report=report, **plots)


def _network_of(weights: str) -> str:
    """The name of the network that a tag's weights are for."""
    from keras_attn.classifiers.kinds import USUAL, network_of_tag
    from keras_attn.weights.sources import SETS

    tags = [*USUAL, *(each.metadata.tag for each in SETS)]
    if weights not in tags:
        raise ValueError(
            "`weights` must be the folder of a run, or a tag that `keras-attn models --weights` "
            f"lists; or else `--model` must name the network. Received: weights={weights!r}"
            f"{did_you_mean(weights, tags)}"
        )
    return network_of_tag(USUAL.get(weights, weights))


def _check_weights(weights: str, constructor: str) -> None:
    """Raises a ValueError where `weights` is no file and no tag that there is."""
    from keras_attn.weights.sources import SETS

    if os.path.isfile(weights) or weights in ("imagenet", "cifar10") or "hf://" in weights:
        return
    if os.path.isdir(weights):
        raise IsADirectoryError(
            "`weights` must be a file or a tag, as `model` is given. "
            f"Received: weights={weights!r}, a folder"
        )
    tags = [each.metadata.tag for each in SETS if each.metadata.network == constructor]
    if weights not in tags:
        raise ValueError(
            "`weights` must be a file that is there, or one of the tags that `keras-attn models "
            f"{constructor} --weights` lists. Received: weights={weights!r}"
            f"{did_you_mean(weights, tags)}"
        )


def _builder(weights: str, name: str | None, data: Any) -> Callable[[], Any]:
    """Makes the network with the weights and a head for the data's classes."""
    from keras_attn import training
    from keras_attn.applications import get_model
    from keras_attn.finetune import replace_head

    if name is None:
        return lambda: replace_head(training.load_run(weights)[0], data.num_classes)

    def build() -> Any:
        network = get_model(name)(
            weights=weights,
            input_shape=data.image_shape,
            classes=data.num_classes,
            include_preprocessing=True,
        )
        return replace_head(network, data.num_classes)  # also where the numbers of classes agree

    return build
