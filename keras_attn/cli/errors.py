"""What the command line says where something went wrong: one line, whatever it was."""

from __future__ import annotations

import sys
import traceback

from keras_attn._extras import explain_missing

TRACEBACK = "KERAS_ATTN_TRACEBACK"
# Their messages are written for users, here and elsewhere.
PLAIN = (ValueError, OSError, RuntimeError, ArithmeticError)


def reason(error: Exception) -> str:
    """An exception in one line.

    Where its kind doesn't tell a user's mistake, the line says where it was raised and how to see
    the traceback.

    Args:
        error: The exception that a command raised.
    """
    if isinstance(error, ImportError):
        return _one_line(explain_missing(error))
    text = _one_line(_message(error))
    if isinstance(error, MemoryError):
        return f"out of memory: {text}" if text else "out of memory"
    if isinstance(error, PLAIN):
        return text or type(error).__name__
    [*_, last] = traceback.extract_tb(error.__traceback__) or [None]
    place = f"{last.filename}:{last.lineno}; " if last else ""
    return (
        f"{type(error).__name__}{f': {text}' if text else ''} "
        f"({place}{TRACEBACK}=1 shows the whole traceback)"
    )


def _message(error: Exception) -> str:
    """Without the graph's code that TensorFlow writes behind the first line."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(error, tensorflow.errors.OpError):
        return (getattr(error, "message", None) or "").strip().partition("\n")[0]
    return str(error)


def _one_line(text: str) -> str:
    return " ".join(text.split())
