"""`keras-attn recipes`: list the recipes, show one, or write it to a file."""

from __future__ import annotations

import argparse

HELP = "list the recipes, show one, or write it to a file for `train --config`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("name", nargs="?", help="show this one's record and its options")
    parser.add_argument(
        "--out", metavar="FILE", help="write it there, in TOML, to edit and to train with"
    )


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn.training.recipes.by_name import get_recipe, recipe_titles
    from keras_attn.training.recipes.files import recipe_text, write_recipe

    if not args.name:
        if args.out:
            raise ValueError("`--out` needs the name of a recipe. Received: no name")
        for name, title in recipe_titles().items():
            print(f"{name:34} {title}")
        return
    recipe, record = get_recipe(args.name)
    if args.out:
        write_recipe(args.out, recipe, record)
        print(f"recipe   {args.out}")
        return
    print(record, end="\n\n")
    print(recipe_text(recipe), end="")
