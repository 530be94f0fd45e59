"""What a command says of itself while it works: a line for each stage, on stderr."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator

quiet = False  # set by `--quiet`


def say(text: str) -> None:
    """A line of ours, unless the command is quiet."""
    if not quiet:
        print(f"keras-attn: {text}", file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """A line that is said in any case."""
    print(f"keras-attn: {_coloured('warning:', 33)} {text}", file=sys.stderr, flush=True)


def say_error(text: str) -> None:
    """The line that a command fails with."""
    print(f"keras-attn: {_coloured('error:', 31)} {text}", file=sys.stderr, flush=True)


def _coloured(word: str, colour: int) -> str:
    """The word in one of ANSI's colours, on a terminal that has them."""
    has_colours = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    return f"\x1b[1;{colour}m{word}\x1b[0m" if has_colours else word


@contextlib.contextmanager
def stage(text: str) -> Iterator[Callable[[str], None]]:
    """Says that a stage takes its time, where somebody watches, and afterwards how long it took.

    Gives a function for other words at the end.
    """
    said = [text]
    start = time.perf_counter()
    with _watched(text):
        yield lambda other: said.__setitem__(0, other)
    say(f"{said[0]} ({time.perf_counter() - start:.1f} s)")


@contextlib.contextmanager
def counted(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal's last line, where somebody watches and there is much to do.

    Gives a function that takes how many more are done.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)


@contextlib.contextmanager
def _watched(text: str) -> Iterator[None]:
    """The text on the terminal's last line, until it is done."""
    watched = sys.stderr.isatty() and not quiet
    if watched:
        sys.stderr.write(f"keras-attn: {text} ...")
        sys.stderr.flush()
    try:
        yield
    finally:
        if watched:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class _Log(logging.Handler):
    """Lines of the library's log, as ours."""

    def emit(self, record: logging.LogRecord) -> None:
        (warn if record.levelno >= logging.WARNING else say)(record.getMessage())


@contextlib.contextmanager
def library_log() -> Iterator[None]:
    """Says what the library logs."""
    logger, handler = logging.getLogger("keras_attn"), _Log(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
