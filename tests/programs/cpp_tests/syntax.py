"""C++ as the bodies of tests need it: words, statements, and expressions as nested tuples."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

TOKEN = re.compile(
    r"""(?P<skipped>\s+|//[^\n]*|/\*.*?\*/|\#[^\n]*)
    |R"(?P<fence>[^(\s]*)\((?P<raw>.*?)\)(?P=fence)"
    |(?P<text>"(?:\\.|[^"\\\n])*")
    |'(?P<char>\\.|[^'\\])'
    |(?P<number>\.?\d[\w.]*)
    |(?P<name>[A-Za-z_]\w*(?:<[\w:]+>)?(?:\s*::\w+(?:<[\w:]+>)?)*)
    |(?P<mark><<|->|.)""",
    re.DOTALL | re.VERBOSE,
)
OPENING, CLOSING = "([{", ")]}"


class NotAskedError(Exception):
    """What a test wants can't be asked here."""


class Token(NamedTuple):
    """A word of C++: `kind` is a group of TOKEN."""

    kind: str
    value: str


def tokenize(source: str) -> list[Token]:
    """Returns the words of a file without its comments."""
    tokens = []
    for match in TOKEN.finditer(source):
        if match["raw"] is not None:
            tokens.append(Token("text", match["raw"]))
        elif match["text"] is not None:
            tokens.append(Token("text", ast.literal_eval(match["text"])))
        elif match["name"] is not None:
            tokens.append(Token("name", "".join(match["name"].split())))
        elif match.lastgroup != "skipped":
            tokens.append(Token(match.lastgroup or "", match[match.lastgroup or 0]))
    return tokens


def until(tokens: list[Token], mark: str) -> list[Token]:
    """Returns what comes before a mark; all where there is none."""
    values = [token.value if token.kind == "mark" else "" for token in tokens]
    return tokens[: values.index(mark)] if mark in values else tokens


def after(tokens: list[Token], mark: str) -> list[Token]:
    """Returns what follows the first of a mark."""
    return tokens[len(until(tokens, mark)) + 1 :]


def group(tokens: list[Token], start: int) -> list[Token]:
    """Returns what stands between the bracket at `start` and the one that closes it."""
    depth = 0
    for index in range(start, len(tokens)):
        if tokens[index].kind == "mark":
            depth += (tokens[index].value in OPENING) - (tokens[index].value in CLOSING)
        if depth == 0:
            return tokens[start + 1 : index]
    raise ValueError("a bracket is not closed")


def statements(tokens: list[Token]) -> list[list[Token]]:
    """Returns what semicolons part, outside of brackets."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "mark":
            depth += (token.value in OPENING) - (token.value in CLOSING)
        if token == Token("mark", ";") and depth == 0:
            found.append([])
        else:
            found[-1].append(token)
    return [statement for statement in found if statement]


class Parser:
    """An expression's words -> tuples of what it is and what of."""

    def __init__(self, tokens: list[Token]):
        self._tokens = tokens
        self._at = 0

    def whole(self) -> tuple:
        """Returns an expression that nothing follows."""
        node = self.expression()
        if self._at != len(self._tokens):
            raise NotAskedError(f"{self._tokens[self._at].value!r} is not read here")
        return node

    def expression(self) -> tuple:
        """Returns the next expression."""
        node = self._unary()
        while self._take("-"):
            node = ("minus", node, self._unary())
        return node

    def arguments(self, opening: str = "(", closing: str = ")") -> list[tuple]:
        """Returns the expressions between two brackets."""
        self._expect(opening)
        nodes = []
        while not self._take(closing):
            nodes.append(self.expression())
            self._take(",")
        return nodes

    def _unary(self) -> tuple:
        for mark, kind in (("&", "address"), ("*", "pointed"), ("-", "negative")):
            if self._take(mark):
                return (kind, self._unary())
        node = self._primary()
        while True:
            if self._peek("("):
                node = ("call", node, self.arguments())
            elif self._peek("["):
                node = ("index", node, self.arguments("[", "]")[0])
            elif self._take(".") or self._take("->"):
                node = ("member", node, self._next().value)
            else:
                return node

    def _primary(self) -> tuple:
        if self._peek("{"):
            return ("list", self.arguments("{", "}"))
        if self._take("("):
            node = self.expression()
            self._expect(")")
            return self._primary() if self._peek("{") else node  # a cast
        token = self._next()
        if token.kind == "text":
            text = token.value
            while self._at < len(self._tokens) and self._tokens[self._at].kind == "text":
                text += self._next().value
            return ("value", text)
        if token.kind == "char":
            return ("value", token.value)
        if token.kind == "number":
            return ("value", ast.literal_eval(token.value))
        if token.kind == "name":
            return ("name", token.value)
        raise NotAskedError(f"{token.value!r} is not read here")

    def _peek(self, mark: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at] == Token("mark", mark)

    def _take(self, mark: str) -> bool:
        found = self._peek(mark)
        self._at += found
        return found

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise NotAskedError(f"no {mark!r} where one is expected")

    def _next(self) -> Token:
        if self._at == len(self._tokens):
            raise NotAskedError("a statement that ends too early")
        self._at += 1
        return self._tokens[self._at - 1]
