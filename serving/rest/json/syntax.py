"""Where a JSON text first goes wrong, in RapidJSON's words and with its offset in bytes.

TF Serving reads a request with RapidJSON 1.1, which stops after the first value, takes NaN, Inf and
Infinity with either sign, and whose texts its clients see. Python's decoder is faster, but its own
errors change from one Python to the next, and it does not know all of these constants. So this
scanner runs where the decoder failed, or may have passed over what RapidJSON refuses.
"""

import dataclasses
import math
import re

BOM = b"\xef\xbb\xbf"
NO_FRACTION = "Miss fraction part in number."
NO_EXPONENT = "Miss exponent in number."
TOO_BIG = "Number too big to be stored in double."
NO_QUOTE = "Missing a closing quotation mark in string."
BAD_ESCAPE = "Invalid escape character in string."
BAD_HEX = "Incorrect hex digit after \\u escape in string."
BAD_SURROGATE = "The surrogate pair in string is invalid."
BAD_ENCODING = "Invalid encoding in string."
BAD_VALUE = "Invalid value."

# What stands next.
START, VALUE, FIRST_ELEMENT, ELEMENT, FIRST_NAME, NAME = range(6)
COLON, AFTER_ELEMENT, AFTER_MEMBER, DONE, CLOSE = range(6, 11)
# The error where something else stands there, or nothing.
FAULTS = {
    START: "The document is empty.",
    VALUE: BAD_VALUE,
    FIRST_ELEMENT: BAD_VALUE,
    ELEMENT: BAD_VALUE,
    FIRST_NAME: "Missing a name for object member.",
    NAME: "Missing a name for object member.",
    COLON: "Missing a colon after a name of object member.",
    AFTER_ELEMENT: "Missing a comma or ']' after an array element.",
    AFTER_MEMBER: "Missing a comma or '}' after an object member.",
}
# Where a value may stand, and what then stands after it.
AFTER = {START: DONE, VALUE: AFTER_MEMBER, FIRST_ELEMENT: AFTER_ELEMENT, ELEMENT: AFTER_ELEMENT}
SIGNS = {
    (FIRST_ELEMENT, b"]"): CLOSE,
    (AFTER_ELEMENT, b"]"): CLOSE,
    (FIRST_NAME, b"}"): CLOSE,
    (AFTER_MEMBER, b"}"): CLOSE,
    (AFTER_ELEMENT, b","): ELEMENT,
    (AFTER_MEMBER, b","): NAME,
    (COLON, b":"): VALUE,
}
# Constants that Python's decoder does not know, in its words.
UNKNOWN = {b"Inf": b"Infinity", b"-Inf": b"-Infinity", b"-NaN": b"NaN"}
NO_VALUE = (b"", b"\0", b"]", b"}", b",", b":")

_SPACE = re.compile(rb"[ \t\n\r]*+")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*+')
_HEX = re.compile(rb"[0-9A-Fa-f]{4}")
_INTEGER = re.compile(rb"0|[1-9][0-9]*+")
_DIGITS = re.compile(rb"[0-9]++")
# Elements that need no closer look, with their commas: most of a request, at C's speed.
_ELEMENTS = re.compile(
    rb"(?:-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]++)?(?:[eE][+-]?[0-9]{1,2})?"
    rb"[ \t\n\r]*+,[ \t\n\r]*+)++"
)


class JsonSyntaxError(Exception):
    """The first fault of a text.

    Args:
        text: RapidJSON's.
        offset: Place of the fault in the text, in bytes.
    """

    def __init__(self, text: str, offset: int):
        super().__init__(f"{text} at offset: {offset}")


@dataclasses.dataclass
class Scan:
    """A text without fault.

    Args:
        end: Place at which the value ends, in bytes.
        constants: Those that Python's decoder doesn't know: start, end, and what it knows.
    """

    end: int
    constants: list[tuple[int, int, bytes]] = dataclasses.field(default_factory=list)


def scan(data: bytes) -> Scan:
    """Reads the first value of a text; its first fault raises JsonSyntaxError."""
    found = Scan(len(BOM) if data.startswith(BOM) else 0)
    state = START
    after: list[int] = []  # what stands after each array and object that is open
    while state != DONE:
        position = _skip(_SPACE, data, found.end)
        if state in (FIRST_ELEMENT, ELEMENT) and (run := _ELEMENTS.match(data, position)):
            state, position = ELEMENT, run.end()
        byte = data[position : position + 1]
        sign = SIGNS.get((state, byte))
        if sign is not None:
            state = after.pop() if sign == CLOSE else sign
            found.end = position + 1
        elif state in AFTER and byte in (b"[", b"{"):
            after.append(AFTER[state])
            state = FIRST_ELEMENT if byte == b"[" else FIRST_NAME
            found.end = position + 1
        elif state in AFTER and byte not in NO_VALUE:
            found.end = _value(data, position, found)
            state = AFTER[state]
        elif state in (FIRST_NAME, NAME) and byte == b'"':
            found.end = _string(data, position + 1)
            state = COLON
        else:
            raise JsonSyntaxError(FAULTS[state], position)
    return found


def _skip(pattern: re.Pattern[bytes], data: bytes, position: int) -> int:
    match = pattern.match(data, position)
    return position if match is None else match.end()


def _value(data: bytes, position: int, found: Scan) -> int:
    """Returns the end of a string, a literal or a number."""
    byte = data[position : position + 1]
    if byte == b'"':
        return _string(data, position + 1)
    if byte in (b"t", b"f", b"n"):
        return _word(data, position, {b"t": b"true", b"f": b"false", b"n": b"null"}[byte])
    number = position + 1 if byte == b"-" else position
    if data[number : number + 1] in (b"I", b"N"):
        end = _constant(data, number)
        if data[position:end] in UNKNOWN:
            found.constants.append((position, end, UNKNOWN[data[position:end]]))
        return end
    return _number(data, position, number)


def _word(data: bytes, position: int, word: bytes) -> int:
    for expected in word:
        if data[position : position + 1] != bytes([expected]):
            raise JsonSyntaxError(BAD_VALUE, position)
        position += 1
    return position


def _constant(data: bytes, position: int) -> int:
    if data[position : position + 1] == b"N":
        return _word(data, position, b"NaN")
    end = _word(data, position, b"Inf")
    return _word(data, end, b"inity") if data[end : end + 1] == b"i" else end


def _number(data: bytes, start: int, position: int) -> int:
    integer = _INTEGER.match(data, position)
    if integer is None:
        raise JsonSyntaxError(BAD_VALUE, position)
    end = integer.end()
    fraction = 0
    if data[end : end + 1] == b".":
        digits = _DIGITS.match(data, end + 1)
        if digits is None:
            raise JsonSyntaxError(NO_FRACTION, end + 1)
        fraction, end = digits.end() - end - 1, digits.end()
    exponent = b""
    if data[end : end + 1] in (b"e", b"E"):
        signed = data[end + 1 : end + 2] in (b"+", b"-")
        digits = _DIGITS.match(data, end + 1 + signed)
        if digits is None:
            raise JsonSyntaxError(NO_EXPONENT, end + 1 + signed)
        if data[end + 1 : end + 2] != b"-":
            exponent = digits[0].lstrip(b"0")
        end = digits.end()
    far = len(exponent) > 9 or int(exponent or b"0") > 308 + fraction
    if far or len(integer[0]) > 309 or math.isinf(float(data[start:end])):
        raise JsonSyntaxError(TOO_BIG, start)
    return end


def _string(data: bytes, position: int) -> int:
    """Returns the end of a string whose first character is at `position`."""
    while True:
        position = _skip(_PLAIN, data, position)
        byte = data[position : position + 1]
        if byte == b'"':
            return position + 1
        if byte != b"\\":
            raise JsonSyntaxError(NO_QUOTE if byte in (b"", b"\0") else BAD_ESCAPE, position)
        escape = data[position + 1 : position + 2]
        if escape == b"u":
            position = _unicode(data, position)
        elif escape and escape in b'"\\/bfnrt':
            position += 2
        else:
            raise JsonSyntaxError(BAD_ESCAPE, position)


def _unicode(data: bytes, start: int) -> int:
    code = _hex(data, start + 2, start)
    if not 0xD800 <= code <= 0xDFFF:
        return start + 6
    if code > 0xDBFF or data[start + 6 : start + 8] != b"\\u":
        raise JsonSyntaxError(BAD_SURROGATE, start)
    if not 0xDC00 <= _hex(data, start + 8, start) <= 0xDFFF:
        raise JsonSyntaxError(BAD_SURROGATE, start)
    return start + 12


def _hex(data: bytes, position: int, start: int) -> int:
    digits = _HEX.match(data, position)
    if digits is None:
        raise JsonSyntaxError(BAD_HEX, start)
    return int(digits[0], 16)
