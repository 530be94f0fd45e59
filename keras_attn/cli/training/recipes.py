"""`keras-attn recipes`: list the recipes, show one, or write it to a file."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from keras_attn.cli.arguments import add_json, add_overwrite
from keras_attn.cli.paths import check_new_file
from keras_attn.cli.tables import print_json, print_table

HELP = "List the recipes, show one, or write it to a file for `train --config`."
EXAMPLE = "keras-attn recipes cifar10_se_resnet20 --out my.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="Show this recipe: its record and its options."
    )
    parser.add_argument(
        "--out", metavar="FILE", help="Write it to this TOML file, to edit and to train with."
    )
    add_json(parser)
    add_overwrite(parser, "the file of --out")


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    if args.out and not args.name:
        raise ValueError("`--out` needs the name of a recipe. Received: no name")
    if args.out:
        check_new_file("out", args.out, overwrite=args.overwrite)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    from keras_attn.training.recipes.by_name import RECIPES, get_recipe, recipe_titles
    from keras_attn.training.recipes.files import recipe_text, write_recipe

    if not args.name:
        titles = recipe_titles()
        if args.json:
            print_json([{"name": name, **_described(RECIPES[name])} for name in titles])
            return
        rows = [{"recipe": name, "what it trains": title} for name, title in titles.items()]
        print_table(rows, narrow=("recipe", "what it trains"), is_headed=False)
        return
    recipe, record = get_recipe(args.name)
    if args.out:
        write_recipe(args.out, recipe, record, overwrite=args.overwrite)
    if args.json:
        print_json({"record": record, **dataclasses.asdict(recipe)})
    elif args.out:
        print(f"recipe   {args.out}")
    else:
        print(record, end="\n\n")
        print(recipe_text(recipe), end="")


def _described(entry: Any) -> dict[str, Any]:
    return {"title": entry.title, "result": entry.result, **dataclasses.asdict(entry.recipe)}
