"""The texts and offsets of JSON errors are RapidJSON 1.1's, on every Python."""

from __future__ import annotations

import json
import math
import random

import pytest

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.rest.json.document import parse_request
from keras_attn.serving.rest.json.examples import read_examples
from keras_attn.serving.rest.json.syntax import JsonSyntaxError, scan

NAME = "Missing a name for object member."
COLON = "Missing a colon after a name of object member."
MEMBER = "Missing a comma or '}' after an object member."
ELEMENT = "Missing a comma or ']' after an array element."
EMPTY = "The document is empty."
VALUE = "Invalid value."
BIG = "Number too big to be stored in double."
FRACTION = "Miss fraction part in number."
EXPONENT = "Miss exponent in number."
QUOTE = "Missing a closing quotation mark in string."
ESCAPE = "Invalid escape character in string."
HEX = "Incorrect hex digit after \\u escape in string."
SURROGATE = "The surrogate pair in string is invalid."
ENCODING = "Invalid encoding in string."


@pytest.mark.parametrize(
    ("body", "text", "offset"),
    [
        (b"   ", EMPTY, 3),
        (b"\xef\xbb\xbf ", EMPTY, 4),
        (b"\0", EMPTY, 0),
        (b"}", EMPTY, 0),
        (b" ,", EMPTY, 1),
        (b"x", VALUE, 0),
        (b"'a'", VALUE, 0),
        (b"tru", VALUE, 3),
        (b"nil", VALUE, 1),
        (b"False", VALUE, 0),
        (b"{", NAME, 1),
        (b"{ 1: 2}", NAME, 2),
        (b"{'a': 1}", NAME, 1),
        (b'{"a": 1,}', NAME, 8),
        (b'{"a": 1, 2}', NAME, 9),
        (b'{"a"', COLON, 4),
        (b'{"a" 1}', COLON, 5),
        (b'{"a", 1}', COLON, 4),
        (b'{"a":', VALUE, 5),
        (b'{"a":}', VALUE, 5),
        (b'{"a": \xff}', VALUE, 6),
        (b'{"a": 1', MEMBER, 7),
        (b'{"a": 1\0}', MEMBER, 7),
        (b'{"a": 1 "b"', MEMBER, 8),
        (b'{"a": {}]', MEMBER, 8),
        (b'{"a": 01}', MEMBER, 7),
        (b'{"a": 0x1}', MEMBER, 7),
        (b'{"a": NaNa}', MEMBER, 9),
        (b'{"a": [1,]}', VALUE, 9),
        (b'{"a": [,', VALUE, 7),
        (b'{"a": [', VALUE, 7),
        (b'{"a": [1, 2', ELEMENT, 11),
        (b'{"a": [1 2]}', ELEMENT, 9),
        (b'{"a": [[1]}', ELEMENT, 10),
        (b'{"a": [1, 2.5, "b": 3]}', ELEMENT, 18),
        ('{"é": [1 2]}'.encode(), ELEMENT, 10),  # in bytes
        (b'{"a": -}', VALUE, 7),
        (b'{"a": +1}', VALUE, 6),
        (b'{"a": .5}', VALUE, 6),
        (b'{"a": --1}', VALUE, 7),
        (b'{"a": Nan}', VALUE, 8),
        (b'{"a": Infx', MEMBER, 9),
        (b'{"a": -Infinite}', VALUE, 14),
        (b'{"a": inf}', VALUE, 6),
        (b'{"a": 1.}', FRACTION, 8),
        (b'{"a": 1.e5}', FRACTION, 8),
        (b'{"a": 1e}', EXPONENT, 8),
        (b'{"a": 1e+}', EXPONENT, 9),
        (b'{"a": [1e999]}', BIG, 7),
        (b'{"a": -1e400}', BIG, 6),
        (b'{"a": 1' + b"0" * 309 + b"}", BIG, 6),
        (b'{"a": 1' + b"0" * 5000 + b"}", BIG, 6),  # past the digits that Python's int() takes
        (b'{"a": ' + b"9" * 290 + b"e25}", BIG, 6),
        (b'{"a": "b', QUOTE, 8),
        (b'{"a": "b\0"}', QUOTE, 8),
        (b'{"a\\"', QUOTE, 5),
        (b'{"a": "b\n"}', ESCAPE, 8),
        (b'{"a": "\\x"}', ESCAPE, 7),
        (b'{"a": "\\', ESCAPE, 7),
        (b'{"a": "\\u12g4"}', HEX, 7),
        (b'{"a": "\\ud83d\\u12"}', HEX, 7),
        (b'{"a": "\\ud83d"}', SURROGATE, 7),
        (b'{"a": "\\ud83d\\u0041"}', SURROGATE, 7),
        (b'{"a": "\\ud83dx"}', SURROGATE, 7),
        (b'{"a": "\\udc00"}', SURROGATE, 7),
        (b'{"a": "b\xff"}', ENCODING, 8),
        (b'{"a\xc3": 1}', ENCODING, 3),
    ],
)
def test_faults(body, text, offset):
    with pytest.raises(ServingError) as caught:
        parse_request(body)
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert caught.value.message == f"JSON Parse error: {text} at offset: {offset}"


@pytest.mark.parametrize("inside", [b"", b"1e100"])
def test_what_is_nested_too_deeply(inside):
    with pytest.raises(ServingError, match="JSON Parse error: The document is nested too deeply"):
        parse_request(b'{"a": ' + b"[" * 100_000 + inside + b"]" * 100_000 + b"}")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'\xef\xbb\xbf {"a": 1} rest', {"a": 1}),
        (b'{"a": 1} \xff', {"a": 1}),
        (b'{"a": [1.5e-300, 1e+10, 1e100, -0, 0.0e0]}', {"a": [1.5e-300, 1e10, 1e100, 0, 0.0]}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (
            '{"é": [-Inf, {"Inf": "Inf"}, Inf]}'.encode(),
            {"é": [-math.inf, {"Inf": "Inf"}, math.inf]},
        ),
        (b'{"a": 1, "a": 2, "b": 3}', {"a": 1, "b": 3}),
    ],
)
def test_what_is_right(body, expected):
    assert parse_request(body) == expected


def test_the_scanner_agrees_with_the_decoder():
    """Of texts with a byte changed, both take the same; the constants aside."""
    text = b'{"a": [1, 2.5e-3, [], [true, {"b": null}]], "c\\n\\u00e9": {"d": "e", "f": -0.1e+2}}'
    generator = random.Random(0)
    for _ in range(5000):
        changed = bytearray(text)
        changed[generator.randrange(1, len(text))] = generator.choice(
            b'{}[],:"\\0129.-+eEtfn \n\x01u'
        )
        try:
            json.JSONDecoder().raw_decode(changed.decode())
        except ValueError:
            with pytest.raises(JsonSyntaxError):
                scan(bytes(changed))
        else:
            scan(bytes(changed))


def test_constants_and_doubled_names_in_examples():
    """Infinities are taken as `:predict` takes them; of two features the last counts, as there."""
    body = b'{"examples": [{"x": [NaN, Inf, -Infinity, 1e39], "y": "first", "y": ["last"]}]}'
    features = read_examples(parse_request(body)).example_list.examples[0].features.feature
    values = list(features["x"].float_list.value)
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf, math.inf]
    assert features["y"].bytes_list.value == [b"last"]


def test_a_long_text_is_read_once():
    """Its fault is at the end; a scan in squares would not come back."""
    for part in (b"1,", b"[],", b'"a",', b"1e3,", b'{"a":1},'):
        body = b'{"a": [' + part * 20_000
        with pytest.raises(ServingError, match=f"Invalid value. at offset: {len(body)}"):
            parse_request(body)
