"""The command line: `keras-attn train`, `evaluate`, `export`, `serve` and so on.

A file for each command: its `HELP` and an `EXAMPLE`, its arguments, what of them it checks before
the library is imported, and what it runs. An error is one line on stderr and exit code 1, with
the traceback where KERAS_ATTN_TRACEBACK is set; a wrong command line exits with 2. Where nobody
reads on (`| head`), it ends in silence.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence

from keras_attn._version import __version__
from keras_attn.cli import stages
from keras_attn.cli.arguments import add_verbosity
from keras_attn.cli.deployment import export, kit, serve, tensorflow_model_server
from keras_attn.cli.errors import TRACEBACK, reason
from keras_attn.cli.inspection import (
    checks,
    completion,
    demo,
    explain,
    models,
    predict,
    report,
    runs,
)
from keras_attn.cli.library import LEVEL
from keras_attn.cli.parser import Parser
from keras_attn.cli.training import evaluate, finetune, insert, recipes, train

# Each may `check` its arguments, without Keras and a backend, and imports what it needs where it
# runs, so that it works where only its own extra is installed.
COMMANDS = (
    train,
    recipes,
    finetune,
    insert,
    evaluate,
    export,
    serve,
    tensorflow_model_server,
    kit,
    predict,
    explain,
    report,
    models,
    runs,
    checks,
    completion,
    demo,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    parsed = make_parser().parse_args(arguments)
    stages.quiet = parsed.quiet
    if parsed.loud:
        os.environ.setdefault(LEVEL, "0")
    try:
        if parsed.check is not None:
            parsed.check(parsed)
        code = parsed.run(parsed) or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        hint = f"; {parsed.stopped}" if parsed.stopped else ""
        print(f"keras-attn: stopped{hint}", file=sys.stderr)
        return 130
    except Exception as error:  # any: a full disk or a broken file has many kinds of them
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return 128 + signal.SIGPIPE  # as any command before `| head`
        if parsed.loud or os.environ.get(TRACEBACK):
            traceback.print_exception(error)
        stages.say_error(parsed.parser.in_its_words(reason(error)))
        return 1


def _nobody_reads() -> bool:
    """Whether it is stdout's pipe that broke, not one to another process; if so, closes it."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    broken = any(event & select.POLLERR for _, event in poll.poll(0))
    if broken:  # what the interpreter still wants to write, it writes to nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return broken


def make_parser() -> Parser:
    """The whole command line."""
    parser = Parser(
        prog="keras-attn",
        description="Train, export, serve and explain image classifiers with attention.",
        epilog="`keras-attn COMMAND --help` explains a command.",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"keras-attn {__version__}",
        help="Print the version and exit.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(
            command.__name__.rsplit(".", 1)[-1],
            help=command.HELP,
            description=command.HELP,
            epilog=f"Example:\n  {command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub)
        add_verbosity(sub)
        sub.set_defaults(
            run=command.run,
            check=getattr(command, "check", None),
            stopped=getattr(command, "STOPPED", None),
            parser=sub,
        )
    return parser
