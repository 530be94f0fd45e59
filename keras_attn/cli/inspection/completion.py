"""`keras-attn completion`: what a shell needs to complete our command lines."""

from __future__ import annotations

import argparse

HELP = "Print a script that lets bash, zsh or fish complete command lines of keras-attn."
EXAMPLE = "keras-attn completion bash > ~/.local/share/bash-completion/completions/keras-attn"

SHELLS = ("bash", "zsh", "fish")
# What stands for a value in the usage -> what a shell may offer in its place.
PATHS = {"FILE": "FILE", "IMAGE": "FILE", "FOLDER": "DIRECTORY", "SOURCE": "FILE"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "shell", choices=SHELLS, metavar="SHELL", help="The shell: bash, zsh or fish."
    )


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    import shtab

    from keras_attn.applications.common.names import NETWORKS
    from keras_attn.cli import make_parser
    from keras_attn.training.recipes.by_name import recipe_names

    names = {"--model": list(NETWORKS), "--recipe": recipe_names()}
    parser = make_parser()
    [commands] = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            if action.metavar in PATHS:
                action.complete = getattr(shtab, PATHS[action.metavar])
            for flag in set(action.option_strings) & set(names):
                if action.metavar is None:
                    action.choices = names[flag]
    print(shtab.complete(parser, args.shell))
