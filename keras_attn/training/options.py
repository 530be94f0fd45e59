"""What an option of a training is, and how a function takes all of them without naming one.

An option is a field of `TrainingConfig`, with an `Option` in its type: what it is for, and the rule
that its value keeps. Signatures, documents, flags, records and files are made of these fields.
"""

import dataclasses
import difflib
import inspect
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

Described = TypeVar("Described")
Function = TypeVar("Function", bound=Callable[..., Any])

SWITCH = {"action": "store_const", "const": True}


@dataclasses.dataclass(frozen=True)
class Option:
    """What a field of `TrainingConfig` is for.

    Attributes:
        text: Whole sentences for documents and for `--help`.
        rule: Rule of its values. `None` is allowed besides, where it is the default.
        group: Heading of its flag on the command line.
        recorded: Whether it tells a training from another: whether `run.json` and checkpoints
            hold it.
    """

    text: str
    rule: "Rule"
    group: str
    recorded: bool

    def explained(self) -> str:
        """The text, and what the value is one of."""
        choices = ", ".join(f'"{choice}"' for choice in self.rule.flag.get("choices", ()))
        return f"{self.text} One of {choices}." if choices else self.text


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a value must be, and how a command line gives it; called with a text, an `Option`.

    Attributes:
        check: Function of the option's name and its value, which raises a ValueError unless the
            value is right.
        flag: Arguments of argparse's `add_argument`; none where a line can't say the value.
    """

    check: Callable[[str, Any], object]
    flag: Mapping[str, Any]

    def __call__(self, text: str, *, group: str = "schedule", recorded: bool = True) -> Option:
        """The option with this rule and this text."""
        return Option(text, self, group, recorded)


def rule(text: str, holds: Callable[[Any], bool], **flag: Any) -> Rule:
    """A rule whose error says `text`, and whose flag has these arguments; without any, no flag.

    Args:
        text: Words that follow on "must be".
        holds: Function that says whether a value keeps the rule.
        **flag: Arguments of `add_argument`.
    """

    def check(name: str, value: Any) -> None:
        if not holds(value):
            raise ValueError(f"`{name}` must be {text}. Received: {name}={value!r}")

    return Rule(check, flag)


def number(text: str, holds: Callable[[float], bool]) -> Rule:
    """A rule of numbers."""

    def is_right(value: Any) -> bool:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and holds(value)

    return rule(text, is_right, type=float)


def one_of(*choices: Any, **flag: Any) -> Rule:
    """A rule that lists what is allowed. Unless said otherwise, a flag takes these where it can."""

    def holds(value: Any) -> bool:
        return any(value is choice or value == choice for choice in choices)

    texts = [choice for choice in choices if choice is not None]
    if not flag and all(isinstance(choice, str) for choice in texts):
        flag = {"choices": texts}
    return rule(f"one of {', '.join(map(repr, choices))}", holds, **flag)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_shares(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and all(isinstance(share, (int, float)) and 0 < share < 1 for share in value)
        and list(value) == sorted(value)
    )


COUNT = rule("a positive integer", _is_count, type=int)
BOOL = rule("a bool", lambda value: isinstance(value, bool), **SWITCH)
POSITIVE = number("a positive number", lambda value: 0 < value < math.inf)
POSITIVE_OR_NONE = number("a positive number or None", lambda value: 0 < value < math.inf)
NOT_NEGATIVE = number("a number, 0 or more", lambda value: 0 <= value < math.inf)
SHARE = number("a number from 0 to below 1", lambda value: 0 <= value < 1)
MOMENTUM = number("a number between 0 and 1 or None", lambda value: 0 < value < 1)
SHARES = rule(
    "ascending shares of the training, between 0 and 1", _are_shares, type=float, nargs="+"
)
VERBOSITY = rule("'auto', 0, 1 or 2", lambda value: value in ("auto", 0, 1, 2))
FACTORS = rule("a mapping of patterns to numbers", lambda value: isinstance(value, Mapping))


def option_of(field: "dataclasses.Field[Any]") -> Option:
    """What a field says of its option."""
    annotated: Any = field.type
    option: Option = annotated.__metadata__[0]
    return option


def options_of(config: type) -> dict[str, Option]:
    """The options that a dataclass has, by name and in their order."""
    return {field.name: option_of(field) for field in dataclasses.fields(config)}


def lists_options(config: type[Described]) -> type[Described]:
    """Lets a dataclass's docstring end in a list of its options, and its signature be plain."""
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        annotated: Any = field.type
        plain = getattr(annotated.__origin__, "__forward_arg__", annotated.__origin__)
        config.__init__.__annotations__[field.name] = plain
    config.__doc__ = _with_list(config.__doc__, config)
    return config


def takes_options(config: type, *, but: Iterable[str] = ()) -> Callable[[Function], Function]:
    """Lets a function's signature and docstring list the options that its `**options` takes.

    Args:
        config: Dataclass whose fields the options are.
        but: Names of options that the function doesn't take.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        taken = {*but, *(parameter.name for parameter in own)}
        options = inspect.signature(config).parameters.values()
        own += [option for option in options if option.name not in taken]
        function.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        function.__doc__ = _with_list(function.__doc__, config)
        return function

    return decorate


def meant(name: str, names: Iterable[str]) -> str:
    """How an error about an unknown name ends: with the one that is nearest, or with them all."""
    known = list(names)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 92, subsequent_indent=" " * 4, break_on_hyphens=False)


def _with_list(doc: str | None, config: type) -> str:
    entries = [f"{name}: {option.explained()}" for name, option in options_of(config).items()]
    lines = [_wrapped(entry) for entry in entries]
    listed = textwrap.indent("\n".join(lines), " " * 4)
    return f"{inspect.cleandoc(doc or '')}\n\nOptions:\n{listed}\n"
