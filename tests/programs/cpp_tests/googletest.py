"""Runs the test bodies of a googletest file: as much of C++ as such bodies need.

A body is a row of statements: declarations, assignments, calls and assertions. What its names mean
the caller says. A name that nobody explains ends its test there, and its assertions from there on
are counted as not asked: nothing is guessed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .syntax import NotAskedError, Parser, Token, after, group, statements, until

# A macro, or a function of the file's own, whose counterpart here returns how it fails.
ASSERTION = re.compile(r"(?:TF_)?(?:EXPECT|ASSERT)_(\w+)|Expect\w+")
MACROS = ("TEST", "TEST_F", "TEST_P", "TYPED_TEST", "TYPED_TEST_P")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one assertion.

    Args:
        test: Suite and test, with the type of a typed test.
        verdict: `"holds"`, `"departs"` or `"not asked"`.
        why: The reason of the latter two.
    """

    test: str
    verdict: str
    why: str = ""


class Reference:
    """A variable whose address a function is given."""

    def __init__(self, scope: dict[str, Any], name: str):
        self._scope = scope
        self._name = name

    def set(self, value: Any) -> None:
        """Gives the variable a value."""
        self._scope[self._name] = value


def constants(tokens: list[Token]) -> dict[str, Any]:
    """Returns the texts and numbers that a file gives names such as `kName`."""
    found: dict[str, Any] = {}
    for index, token in enumerate(tokens):
        if token.kind == "name" and re.fullmatch("k[A-Z][A-Za-z0-9]*", token.value):
            statement = until(tokens[index + 1 : index + 20], ";")
            value = after(statement, "=")
            if "".join(t.value for t in until(statement, "=")) not in ("", "[]"):
                continue
            if value and {t.kind for t in value} == {"text"}:
                found[token.value] = "".join(t.value for t in value)
            elif [t.kind for t in value] == ["number"]:
                found[token.value] = int(value[0].value)
    return found


def bodies(tokens: list[Token]) -> Iterator[tuple[str, bool, list[list[Token]]]]:
    """Yields each test's name, whether it is run for several types, and its statements."""
    for index, token in enumerate(tokens):
        if token.kind == "name" and token.value in MACROS:
            _, _, suite, _, test, _ = tokens[index : index + 6]
            body = statements(group(tokens, index + 6))
            yield f"{suite.value}.{test.value}", token.value.startswith("TYPED"), body


def run(
    name: str, body: list[list[Token]], names: Mapping[str, Any], fixtures: set[str]
) -> Iterator[Outcome]:
    """Runs one test and yields what became of each of its assertions.

    Args:
        name: Name of the test.
        body: Its statements.
        names: Its functions, types and constants here.
        fixtures: Functions of which an assertion only says that the test itself is sound.
    """
    scope: dict[str, Any] = dict(names)
    for index, statement in enumerate(body):
        asserts = _is_assertion(statement, fixtures)
        try:
            failure = _run_statement(statement, scope)
        except NotAskedError as error:
            yield from _rest(name, "not asked", str(error), body[index:], fixtures)
            return
        except Exception as error:  # what ours had to give isn't there
            failure = f"{type(error).__name__}: {error}"
            if not asserts:  # what follows would look at what was there before
                yield from _rest(name, "departs", failure, body[index:], fixtures)
                return
        if asserts:
            yield Outcome(name, "departs" if failure else "holds", failure)


def _is_assertion(statement: list[Token], fixtures: set[str]) -> bool:
    return bool(ASSERTION.fullmatch(statement[0].value)) and not any(
        token.kind == "name" and token.value in fixtures for token in statement
    )


def _rest(
    name: str, verdict: str, why: str, body: list[list[Token]], fixtures: set[str]
) -> Iterator[Outcome]:
    """The same verdict on all assertions of a body, those in blocks too."""
    for statement in body:
        found = [t for t in statement if t.kind == "name" and ASSERTION.fullmatch(t.value)]
        if len(found) != 1 or _is_assertion(statement, fixtures):
            yield from [Outcome(name, verdict, why)] * len(found)


def _run_statement(tokens: list[Token], scope: dict[str, Any]) -> str:
    """Runs one; returns how an assertion fails, `""` where it holds or there is none."""
    tokens = [token for token in tokens if token != Token("name", "const")]
    assertion = ASSERTION.fullmatch(tokens[0].value)
    if assertion:
        arguments = [_value(node, scope) for node in Parser(tokens[1:]).arguments()]
        if assertion[1] is None:
            return _name(assertion[0], scope)(*arguments)
        return _failure(assertion[1], arguments)
    declared = [token for token in tokens if token not in (Token("mark", "*"), Token("mark", "&"))]
    if [token.kind for token in declared[:2]] == ["name", "name"]:
        _declare(declared, tokens, scope)
        return ""
    left = until(tokens, "=")
    target = Parser(left).whole()
    if len(left) == len(tokens):
        _value(target, scope)
        return ""
    value = _value(Parser(after(tokens, "=")).whole(), scope)
    if target[0] == "name":
        scope[target[1]] = value
    else:
        _value(target, scope).assign(value)
    return ""


def _declare(declared: list[Token], tokens: list[Token], scope: dict[str, Any]) -> None:
    kind = declared[0].value
    names = [t.value for t in until(declared[1:], "=") if t.kind == "name"]
    initial = after(tokens, "=")
    if not initial:
        for name in names:
            scope[name] = _name(kind, scope)()
        return
    value = _value(Parser(initial).whole(), scope)
    scope[names[0]] = _name(kind, scope)(value) if isinstance(value, list) else value


def _failure(kind: str, arguments: list[Any]) -> str:
    match kind, arguments:
        case "OK", [status]:
            return "" if status.ok() else f"{status.code()}: {status.message()}"
        case "TRUE", [value]:
            return "" if value else "is false"
        case "FALSE", [value]:
            return "is true" if value else ""
        case "EQ", [one, other]:
            return "" if one == other else f"{one!r} is not {other!r}"
        case "NE", [one, other]:
            return "" if one != other else f"{one!r} on both sides"
        case "THAT", [value, matcher]:
            return matcher(value)
    raise NotAskedError(f"EXPECT_{kind} is not read here")


def _name(name: str, scope: Mapping[str, Any]) -> Any:
    if name not in scope:
        raise NotAskedError(f"{name} has no counterpart here")
    return scope[name]


def _value(node: tuple, scope: dict[str, Any]) -> Any:
    match node:
        case "value", value:
            return value
        case "name", name:
            return _name(name, scope)
        case "list", items:
            return [_value(item, scope) for item in items]
        case "negative", inner:
            return -_value(inner, scope)
        case "minus", one, other:
            return _value(one, scope) - _value(other, scope)
        case "pointed", inner:
            return _value(inner, scope)
        case "address", inner:
            value = _value(inner, scope)
            plain = value is None or isinstance(value, (str, bool, int, list))
            return Reference(scope, inner[1]) if plain else value
        case "index", inner, key:
            return _value(inner, scope)[_value(key, scope)]
        case "member", inner, name:
            return _member(_value(inner, scope), name)
        case "call", ("member", inner, name), nodes:
            arguments = [_value(one, scope) for one in nodes]
            receiver = _value(inner, scope)
            if not isinstance(receiver, str):
                return _member(receiver, name)(*arguments)
            changed, result = _string_method(receiver, name, arguments)
            if changed != receiver:
                scope[inner[1]] = changed
            return result
        case "call", function, nodes:
            arguments = [_value(one, scope) for one in nodes]
            called: Callable = _value(function, scope)
            return called(*arguments)
    raise NotAskedError(f"{node[0]} is not read here")


def _member(receiver: Any, name: str) -> Any:
    try:
        return getattr(receiver, name)
    except AttributeError:
        kind = type(receiver).__name__
        raise NotAskedError(f"{kind} has no counterpart of {name}") from None


def _string_method(text: str, name: str, arguments: list[Any]) -> tuple[str, Any]:
    """What a method makes of a text, and what it returns."""
    match name, arguments:
        case "append", [more]:
            return text + more, None
        case "append", [count, char]:
            return text + count * char, None
        case "clear", []:
            return "", None
        case (("size" | "length"), []):
            return text, len(text)
        case (("data" | "c_str"), []):
            return text, text
    raise NotAskedError(f"a string's {name} is not read here")
