"""argparse with errors of one line, which name the flag and what may have been meant."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from keras_attn._hints import did_you_mean
from keras_attn.cli.stages import say_error

NUMBERS: dict[Any, str] = {int: "a whole number", float: "a number"}


class Parser(argparse.ArgumentParser):
    """The parser of the command line, and of each command."""

    given: Sequence[str] = ()

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        for action in self._actions:
            if isinstance(action, argparse._HelpAction):
                action.help = "Show this help and exit."

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]  # has overloads
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """As argparse's, but that a command says itself which flag it doesn't have."""
        self.given = args or ()
        parsed, rest = super().parse_known_args(args, namespace)
        if rest and self._subparsers is None:
            flags = [text for text in rest if text.startswith("-")]
            self.error(
                self._no_flag(flags[0])
                if flags
                else f"{self.prog} takes no more arguments. Received: {' '.join(rest)}"
            )
        return parsed, rest

    def error(self, message: str) -> NoReturn:
        """Says what is wrong in one line; exits with 2."""
        misspelt = [text for text in self.given if self._is_misspelt(text)]
        if misspelt and "required" in message:
            message = self._no_flag(misspelt[0])
        message = re.sub(r"^argument ([^:]+): ", r"`\1`: ", message)
        hint = "" if "did you mean" in message else f"; see `{self.prog} --help`"
        say_error(message + hint)
        sys.exit(2)

    def _no_flag(self, text: str) -> str:
        flag = text.partition("=")[0]
        return f"{self.prog} has no flag {flag}{did_you_mean(flag, self._option_string_actions)}"

    def _is_misspelt(self, text: str) -> bool:
        flag = text.partition("=")[0]
        known = any(name.startswith(flag) for name in self._option_string_actions)
        return len(flag) > 2 and flag.startswith("--") and not known

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            self.error(
                f"`{name_of(action)}` must be one of {', '.join(choices)}. "
                f"Received: {value}{did_you_mean(value, choices)}"
            )

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            if action.type not in NUMBERS:
                raise
            kind = NUMBERS[action.type]
            self.error(f"`{name_of(action)}` must be {kind}. Received: {arg_string}")

    def in_its_words(self, text: str) -> str:
        """What the library says of its arguments, said of this command's flags.

        Args:
            text: Message with names in backticks, and `name=value` behind "Received:".
        """
        actions = {action.dest: action for action in self._actions}
        names = {dest: name_of(action) for dest, action in actions.items()}
        names |= {
            theirs: names[ours]
            for theirs, ours in THEIRS.items()
            if theirs not in names and ours in names
        }

        def switch(found: re.Match[str]) -> str:
            action = actions.get(found[1])
            is_said = action is not None and str(action.const) == found[2]
            return f"`{names[found[1]]}`" if is_said else found[0]

        def received(found: re.Match[str]) -> str:
            name = names.get(found[1])
            return found[0] if name is None else f"{name} " if name.startswith("-") else ""

        text = re.sub(r"`(\w+)=(\w+)`", switch, text)
        text = re.sub(r"`(\w+)`", lambda found: f"`{names.get(found[1], found[1])}`", text)
        before, mark, after = text.partition("Received: ")
        return before + mark + re.sub(r"\b(\w+)=(?=\S)", received, after)


# What the library's functions call what a flag of another name gives them.
THEIRS = {
    "name": "data",
    "path": "image",
    "recipe": "name",
    "model": "part",
    "folder": "weights",
}


def name_of(action: argparse.Action) -> str:
    """What a user calls an argument: its longest flag, or what stands for it in the usage."""
    if action.option_strings:
        return max(action.option_strings, key=len)
    return str(action.metavar or action.dest)
