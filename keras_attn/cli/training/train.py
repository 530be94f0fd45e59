"""`keras-attn train`: train a network on a data set."""

from __future__ import annotations

import argparse

from keras_attn.cli.arguments import (
    add_data_set,
    add_schedule,
    add_strategy,
    given_arguments,
)
from keras_attn.cli.output import print_metrics, say_if_finished

HELP = "train a network on a data set"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What isn't given is the recipe's, or else the library's own."""
    parser.add_argument("--recipe", help="start from this recipe, see `keras-attn recipes`")
    parser.add_argument("--model", help="name of the network, see `keras-attn models`")
    parser.add_argument("--out", required=True, help="the run's folder: model, history, record")
    add_data_set(parser)
    add_schedule(parser)
    add_strategy(parser)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn.training import get_strategy
    from keras_attn.training.recipes import Recipe, get_recipe, run_recipe

    given = given_arguments(args)
    if given.get("strategy") == "parameter-server":
        from keras_attn.training.placement.parameter_server import is_server, serve_task

        if is_server():
            serve_task()
            return
        given["strategy"] = get_strategy("parameter-server")
    if given.get("strategy") == "multi-worker":  # before TensorFlow reads any data
        given["strategy"] = get_strategy("multi-worker", timeout=args.worker_timeout)
    if args.recipe:
        recipe = get_recipe(args.recipe)[0]
    elif args.model:
        recipe = Recipe(model=args.model, data="digits", training={"epochs": 4})
    else:
        raise ValueError("`train` needs `--model` or `--recipe`. Received: neither")
    result, data = run_recipe(
        recipe.changed(**given), args.out, data_dir=args.data_dir, seed=args.seed
    )
    say_if_finished(result.was_finished, args.out)
    print_metrics(result.metrics, data.test_size)
    for name, path in result.paths.items():
        print(f"{name:8} {path}")
