"""Messages, statuses and JSON with the methods that C++ has for them, and how they are compared."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from google.protobuf import message, text_format
from google.protobuf.descriptor import FieldDescriptor
from tensorflow.core.framework import tensor_pb2


class Status:
    """What a call returns: 0, or a code with its message."""

    def __init__(self, code: int = tf.errors.OK, message: str = ""):
        self._code = code
        self._message = message

    def ok(self) -> bool:
        return self._code == tf.errors.OK

    def code(self) -> int:
        return self._code

    def message(self) -> str:
        return self._message


class Optional:
    """A value that may be absent."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, value: Any) -> None:
        self._value = value

    def value(self) -> Any:
        return self._value


class Map(collections.defaultdict):
    """A map whose values are made when they are first named."""

    def size(self) -> int:
        return len(self)


class Proto:
    """A message with the methods that C++ has for its fields."""

    def __init__(self, wrapped: Any):
        self.wrapped = wrapped

    def Clear(self) -> None:
        self.wrapped.Clear()

    def assign(self, other: Proto) -> None:
        self.wrapped.CopyFrom(other.wrapped)

    def size(self) -> int:
        return len(self.wrapped)

    def __getitem__(self, key: Any) -> Any:
        return _in_cpp(self.wrapped[key])

    def __getattr__(self, name: str) -> Callable:
        verb, _, field = name.partition("_")
        fields = self.wrapped.DESCRIPTOR.fields_by_name
        if name in fields:
            return lambda *index: _field(self.wrapped, name, *index)
        if name.removesuffix("_size") in fields:
            return lambda: len(getattr(self.wrapped, name.removesuffix("_size")))
        if verb == "set" and field in fields:
            return lambda value: setattr(self.wrapped, field, value)
        if verb == "clear" and field in fields:
            return lambda: self.wrapped.ClearField(field)
        if verb == "mutable" and field in fields:
            return lambda: _mutable(getattr(self.wrapped, field))
        if verb == "add" and field in fields:
            return lambda *value: _add(getattr(self.wrapped, field), fields[field].type, *value)
        raise AttributeError(name)


def _in_cpp(value: Any) -> Any:
    return value if isinstance(value, (int, float, str, bytes)) else Proto(value)


def _field(wrapped: message.Message, name: str, *index: int) -> Any:
    value = getattr(wrapped, name)
    return _in_cpp(value[index[0]] if index else value)


def _mutable(value: Any) -> Proto:
    if isinstance(value, message.Message):
        value.SetInParent()
    return Proto(value)


def _add(values: Any, kind: int, *value: Any) -> Any:
    if not value:
        return Proto(values.add())
    values.append(value[0].encode() if kind == FieldDescriptor.TYPE_BYTES else value[0])
    return None


def parse_text(text: str, target: Proto) -> bool:
    target.wrapped.CopyFrom(text_format.Parse(text, type(target.wrapped)()))
    return True


def plain(value: Any) -> Any:
    """A message as lists and dicts that are equal where the messages say the same."""
    if isinstance(value, tensor_pb2.TensorProto):
        array = tf.make_ndarray(value)
        return value.dtype, array.shape, [repr(one) for one in array.reshape(-1).tolist()]
    if isinstance(value, float):
        return repr(value)  # NaN, and the sign of 0
    if not isinstance(value, message.Message):
        return value
    found: dict[str, Any] = {}
    for field, content in value.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            found[field.name] = {key: plain(content[key]) for key in content}
        elif isinstance(content, (message.Message, str, bytes, int, float)):
            found[field.name] = plain(content)
        else:
            found[field.name] = [plain(one) for one in content]
    return found


def equals_proto(expected: str | Proto) -> Callable[[Proto], str]:
    def differs(received: Proto) -> str:
        wanted = expected
        if isinstance(wanted, str):
            wanted = Proto(text_format.Parse(wanted, type(received.wrapped)()))
        one, other = plain(received.wrapped), plain(wanted.wrapped)
        return "" if one == other else f"{one} is not {other}"

    return differs


def has_substring(part: str) -> Callable[[str], str]:
    return lambda text: "" if part in text else f"{text!r} lacks {part!r}"


def same_json(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def compare_json(one: str, other: str, **parsers: Any) -> Status:
    if same_json(json.loads(one, **parsers), json.loads(other, **parsers)):
        return Status()
    return Status(tf.errors.INVALID_ARGUMENT, f"{one} is not {other}")


def compare_json_as_strings(one: str, other: str) -> Status:
    return compare_json(one, other, parse_float=str, parse_int=str, parse_constant=str)
