"""The bytes of a request -> its JSON object, as RapidJSON reads it.

Known differences: bytes that are no UTF-8, and lone surrogates, are refused; so is what is nested
deeper than Python's decoder goes.
"""

import json
from typing import Any

from keras_attn.serving.errors import ServingError, invalid_argument
from keras_attn.serving.rest.json.debug import debug_string
from keras_attn.serving.rest.json.members import make_object
from keras_attn.serving.rest.json.syntax import BAD_ENCODING, JsonSyntaxError, scan

_DECODER = json.JSONDecoder(object_pairs_hook=make_object)
# What Python's decoder takes and RapidJSON may refuse, with each digit as 0 and without a plus:
# numbers that may be too big for a double, and surrogates, which may be alone.
_DOUBTFUL = (b"e000", b"0" * 200, b"\\ud")
_DIGITS = bytes.maketrans(b"123456789ED", b"000000000ed")


def parse_request(body: bytes) -> dict[str, Any]:
    """Returns the JSON object of a request. What follows the object is passed over."""
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        document = _document(body)
    except RecursionError:
        raise _error("The document is nested too deeply") from None
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {debug_string(document)} Is not object")
    return document


def _document(body: bytes) -> Any:
    outline = body.translate(_DIGITS, b"+")
    if not any(doubtful in outline for doubtful in _DOUBTFUL):
        try:
            return _decoded(body)
        except ValueError:  # the decoder's own errors are of many kinds
            pass
    return _scanned(body)


def _decoded(body: bytes) -> Any:
    text = body.decode("utf-8-sig")
    start = len(text) - len(text.lstrip(" \t\n\r"))
    return _DECODER.raw_decode(text, start)[0]


def _scanned(body: bytes) -> Any:
    """Decodes what the scanner has found to be right, with constants that Python knows."""
    try:
        found = scan(body)
        body[: found.end].decode()
    except JsonSyntaxError as fault:
        raise _error(str(fault)) from None
    except UnicodeDecodeError as error:
        raise _error(f"{BAD_ENCODING} at offset: {error.start}") from None
    parts, position = [], 0
    for start, end, constant in found.constants:
        parts += [body[position:start], constant]
        position = end
    return _decoded(b"".join([*parts, body[position : found.end]]))


def _error(text: str) -> ServingError:
    return invalid_argument(f"JSON Parse error: {text}")
