"""Why something failed, in one line: out of what TensorFlow and other runtimes write."""

import re

import tensorflow as tf


def reason_of(error: Exception) -> str:
    """The first line of an exception that says something; of TensorFlow's, without its graph.

    Args:
        error: The exception that was raised.
    """
    if isinstance(error, tf.errors.OpError):
        # {{function_node ...}} what [Op:Name] name: ...
        text = " ".join((getattr(error, "message", None) or "").split())
        text = re.sub(r"\{\{.*?\}\} ?", "", text).partition(" [Op:")[0]
        return text.partition(" Original stack trace")[0] or type(error).__name__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
