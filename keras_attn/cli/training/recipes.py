"""`keras-attn recipes`: list the recipes, or show one."""

from __future__ import annotations

import argparse
import dataclasses

HELP = "list the recipes, or show one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("name", nargs="?", help="show this one's record and its arguments")


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn.training.recipes import get_recipe, recipe_names

    if not args.name:
        for name in recipe_names():
            print(f"{name:34} {get_recipe(name)[1].splitlines()[0]}")
        return
    recipe, record = get_recipe(args.name)
    print(record, end="\n\n")
    for field in dataclasses.fields(recipe):
        print(f"{field.name:14} {getattr(recipe, field.name)}")
