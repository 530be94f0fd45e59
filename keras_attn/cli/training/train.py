"""`keras-attn train`: train a network on a data set."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

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
from keras_attn.cli.stages import library_log, say
from keras_attn.cli.training.plots import add_plots, draw_plots
from keras_attn.cli.training.suited import NETWORK, suited

if TYPE_CHECKING:
    from keras_attn.training.recipes.recipe import Recipe

HELP = "Train a network on a data set, such as a folder of photographs."
STOPPED = "the same command goes on after the last epoch that was finished"
EXAMPLE = "keras-attn train --data photos --out runs/photos"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What isn't given is the recipe's, or else the library's own."""
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--recipe", help="Start from this recipe, see `keras-attn recipes`.")
    start.add_argument(
        "--config",
        metavar="FILE",
        help="Start from a file of a recipe, see `keras-attn recipes NAME --out FILE`.",
    )
    parser.add_argument(
        "--model",
        help="Name of the network, see `keras-attn models`; or recurrent_attention or racnn, which "
        f"choose where to look. By default the recipe's, or {NETWORK}.",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="Folder that the model, its history and its record go to. By default one in `runs` "
        "that is called after the network and the data.",
    )
    add_plots(add_training(parser))
    add_json(parser)


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    from keras_attn.data.options import check_data_place

    said = {"verbose": 0} if args.quiet or args.json else {}
    args.start = _recipe(args).changed(**given_options(args), **said)
    check_data_place(args.start.data, args.data_dir)
    if args.out is None:
        args.out = os.path.join("runs", f"{args.start.model}-{name_of_data(args.start.data)}")
    check_out_folder(args.out)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    import_to_train()
    from keras_attn.applications import get_model
    from keras_attn.training.config import OPTIONS
    from keras_attn.training.placement.strategy import kind_of
    from keras_attn.training.recipes import run_recipe

    recipe = args.start
    if isinstance(recipe.training.strategy, str):  # before TensorFlow reads any data
        strategy = kind_of(recipe.training.strategy).start_process(args.worker_timeout)
        if strategy is None:
            return
        recipe = recipe.changed(strategy=strategy)
    data = read_data(
        recipe.data,
        data_dir=args.data_dir,
        usual_size=get_model(recipe.model).input_size,
        seed=recipe.training.seed,
        **recipe.data_options,
    )
    if not args.recipe and not args.config:
        given = {name: value for name, value in given_options(args).items() if name in OPTIONS}
        recipe = recipe.changed(**suited(given, data, from_nothing=True))
    say_where_it_goes_on(args)
    with library_log():
        result, _ = run_recipe(
            recipe, args.out, dataset=data, resume=args.resume, overwrite=args.overwrite
        )
    say_if_finished(result.was_finished, args.out)
    epochs = len(result.history["loss"])
    if epochs < recipe.training.epochs and not result.was_finished:
        say(
            f"ended after {epochs} of {recipe.training.epochs} epochs: {recipe.training.patience} "
            "evaluations without a higher accuracy"
        )
    plots = draw_plots(args, data, was_finished=result.was_finished)
    print_run(result, data.test_size, as_json=args.json, **plots)


def _recipe(args: argparse.Namespace) -> Recipe:
    """What the command starts from."""
    from keras_attn.training.config import TrainingConfig
    from keras_attn.training.recipes.by_name import get_recipe
    from keras_attn.training.recipes.files import read_recipe
    from keras_attn.training.recipes.recipe import Recipe

    if args.recipe:
        return get_recipe(args.recipe)[0]
    if args.config:
        return read_recipe(args.config)
    model = args.model or NETWORK
    return Recipe(model=model, data="digits", training=TrainingConfig(epochs=EPOCHS))
