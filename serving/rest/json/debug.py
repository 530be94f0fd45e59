"""JSON values as TF Serving writes them into its errors."""

import json
from collections.abc import Iterator
from typing import Any

from keras_attn.serving.rest.json.members import all_members

MAX_LENGTH = 256


def debug_string(value: Any) -> str:
    """The JSON of a value for an error's text, its first 256 characters or a little more."""
    text = ""
    for token in _tokens(value, 0):
        if len(text) >= MAX_LENGTH:
            break
        text += token[:MAX_LENGTH]
    return text


def json_type(value: Any) -> str:
    """RapidJSON's name of the type."""
    if value is None or isinstance(value, bool):
        return {None: "Null", True: "True", False: "False"}[value]
    names: dict[type, str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def _tokens(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, list):
        yield "["
        for index, element in enumerate(value):
            yield ", " if index else ""
            yield from _tokens(element, depth + 1)
        yield "]"
    elif isinstance(value, dict):
        yield "{"
        for index, (key, element) in enumerate(all_members(value)):
            yield ("," if index else "") + "\n" + "    " * (depth + 1)
            yield json.dumps(key, ensure_ascii=False) + ": "
            yield from _tokens(element, depth + 1)
        yield "\n" + "    " * depth + "}" if value else "}"
    else:
        yield json.dumps(value, ensure_ascii=False)
