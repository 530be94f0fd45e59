"""The reference of the command line, from its parser; and the recipes."""

from __future__ import annotations

import argparse
from typing import Any

from generator.markdown import table
from keras_attn.cli import COMMANDS, make_parser
from keras_attn.training.recipes.by_name import RECIPES, recipe_names
from keras_attn.training.recipes.entry import Entry
from keras_attn.training.recipes.files import recipe_text


def pages() -> tuple[dict[str, str], list[Any]]:
    """The pages by their paths, and their part of the navigation."""
    parser = make_parser()
    [subparsers] = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    names = [command.__name__.rsplit(".", 1)[-1] for command in COMMANDS]
    texts = {
        f"command-line/{name}.md": _page(name, subparsers.choices[name], command)
        for name, command in zip(names, COMMANDS, strict=True)
    }
    rows = [
        (f"[`keras-attn {name}`]({name}.md)", command.HELP)
        for name, command in zip(names, COMMANDS, strict=True)
    ]
    texts["command-line/index.md"] = INDEX.format(commands=table(("command", "what it does"), rows))
    texts["command-line/recipes-table.md"] = _recipes()
    pages = [f"command-line/{name}.md" for name in names]
    return texts, ["command-line/index.md", *pages, "command-line/recipes-table.md"]


INDEX = """# Command line

{commands}
`keras-attn COMMAND --help` prints the same as these pages. A command that succeeds exits with 0, an
error is one line on stderr and exits with 1, a wrong command line with 2. `KERAS_ATTN_TRACEBACK=1`
adds the traceback.
"""


def _page(name: str, parser: argparse.ArgumentParser, command: Any) -> str:
    positional = [a for a in parser._actions if not a.option_strings]
    flags = [a for a in parser._actions if a.option_strings]
    parts = [f"# keras-attn {name}", command.HELP, f"```console\n$ {command.EXAMPLE}\n```"]
    for title, actions in (("Arguments", positional), ("Flags", flags)):
        if actions:
            rows = [(f"`{_invocation(a)}`", _text(parser, a)) for a in actions]
            parts += [f"## {title}", table((title[:-1].lower(), "what it says"), rows)]
    return "\n\n".join(parts) + "\n"


def _invocation(action: argparse.Action) -> str:
    formatter = argparse.HelpFormatter("keras-attn")
    if not action.option_strings:
        return formatter._format_args(action, str(action.metavar or action.dest))
    takes = ""
    if action.nargs != 0:
        name = action.dest.upper()
        takes = f" {name if action.choices else formatter._format_args(action, name)}"
    return ", ".join(action.option_strings) + takes


def _text(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = parser._get_formatter()._expand_help(action)
    if not all(str(choice) in text for choice in action.choices or ()):
        text += f" One of {', '.join(map(str, action.choices))}."
    return text.replace("*", r"\*").replace("<", "&lt;").replace("_", r"\_")


def _result(entry: Entry) -> str:
    text = entry.result.removeprefix("Result: ")
    return text[0].upper() + text[1:]


def _recipes() -> str:
    rows = [
        (f"[`{name}`](#{name})", RECIPES[name].title, _result(RECIPES[name]))
        for name in recipe_names()
    ]
    parts = [
        "# Recipes\n\nA recipe is a training with all its numbers. `keras-attn train --recipe "
        "NAME` runs one, and `keras-attn recipes NAME --out my.toml` writes it to a file to edit.",
        table(("recipe", "what it trains", "result"), rows),
    ]
    for name in recipe_names():
        entry = RECIPES[name]
        parts.append(
            f'## {name}\n\n{entry.about}\n\n??? note "Its file"\n\n    ```toml\n'
            + "".join(f"    {line}\n" for line in recipe_text(entry.recipe).splitlines())
            + "    ```"
        )
    return "\n\n".join(parts) + "\n"
