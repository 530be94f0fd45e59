"""One JSON value, nested lists or a bare one, -> the checked values of a tensor."""

import base64
import binascii
from typing import Any

import numpy as np

from keras_attn.serving.errors import Code, ServingError, invalid_argument
from keras_attn.serving.models.signatures import NUMPY_DTYPES
from keras_attn.serving.rest.json.debug import debug_string, json_type
from keras_attn.serving.rest.json.members import all_members

MAX_RANK = 64  # of NumPy; TensorFlow goes to 254
# The least and the greatest integer that TF Serving takes for a type, ours where it would wrap.
INTEGER_RANGES = {
    name: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for name, dtype in NUMPY_DTYPES.items()
    if "int" in name
}
# The Python types of the JSON values that need no closer look.
PLAIN_TYPES: dict[str, set[type]] = {"float": {int, float}, "double": {int, float}, "bool": {bool}}


def dense_shape(value: Any) -> tuple[int, ...]:
    """The shape by the first elements: whether the others agree, `flatten` finds."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > MAX_RANK:
        raise invalid_argument(f"Shape must have at most {MAX_RANK} dimensions: {len(shape)}")
    return tuple(shape)


def flatten(value: Any, shape: tuple[int, ...], dtype: str) -> list[Any]:
    """Returns the checked leaves in row-major order."""
    flat: list[Any] = []

    def fill(value: Any, level: int) -> None:
        if not isinstance(value, list):
            if level != len(shape):
                raise invalid_argument(
                    f"JSON Value: {debug_string(value)} found at incorrect level: {level + 1} "
                    f"in the JSON DOM. Expected at level: {len(shape)}"
                )
            flat.append(_leaf(value, dtype))
            return
        if level >= len(shape):
            raise invalid_argument(
                f"Encountered list at unexpected level: {level} expected < {len(shape)}"
            )
        if len(value) != shape[level]:
            raise invalid_argument(
                f"Encountered list at unexpected size: {len(value)} at level: {level} "
                f"expected size: {shape[level]}"
            )
        if level + 1 == len(shape) and _is_plain_row(value, dtype):
            flat.extend(value)  # a row of numbers at once
            return
        for element in value:
            fill(element, level + 1)

    fill(value, 0)
    return flat


def _is_plain_row(row: list[Any], dtype: str) -> bool:
    """Whether every element is right as it is: what the usual image is, found at C's speed."""
    types: set[type] = set(map(type, row))
    if dtype in INTEGER_RANGES:
        low, high = INTEGER_RANGES[dtype]
        return types == {int} and low <= min(row) and max(row) <= high
    return dtype in PLAIN_TYPES and types <= PLAIN_TYPES[dtype]


def _leaf(value: Any, dtype: str) -> Any:
    """Returns one checked value: a bool, a number, or the bytes of a string."""
    if isinstance(value, dict):
        if dtype != "string":
            raise _type_error(value, dtype)
        return decode_base64(value)
    if dtype not in NUMPY_DTYPES:
        raise ServingError(
            Code.UNIMPLEMENTED,
            f"Conversion of JSON Value: {debug_string(value)} to type: {dtype}",
        )
    if dtype == "string":
        fits = isinstance(value, str)
    elif dtype == "bool":
        fits = isinstance(value, bool)
    elif isinstance(value, bool):
        fits = False
    elif dtype in INTEGER_RANGES:
        low, high = INTEGER_RANGES[dtype]
        fits = isinstance(value, int) and low <= value <= high
    else:
        fits = isinstance(value, (int, float))
    if not fits:
        raise _type_error(value, dtype)
    return value.encode() if isinstance(value, str) else value


def decode_base64(value: dict[str, Any]) -> bytes:
    """Returns the bytes of `{"b64": text}`. White space and absent padding are let pass."""
    if not is_base64(value):
        raise invalid_argument(
            f"JSON Value: {debug_string(value)} not formatted correctly for base64 data"
        )
    text = "".join(value["b64"].split())
    if "=" not in text:
        text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid_argument("Unable to base64 decode") from None


def to_array(values: list[Any], shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Returns what `flatten` gave as an array; strings as one of bytes objects."""
    if dtype not in NUMPY_DTYPES:  # an empty list of them gets here
        raise ServingError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: [] to type: {dtype}")
    with np.errstate(over="ignore"):  # a double beyond float32 is infinite, as there
        array: np.ndarray = np.array(values, NUMPY_DTYPES[dtype])
    return array.reshape(shape)


def is_base64(value: Any) -> bool:
    """Whether the value is `{"b64": text}` and nothing else."""
    if not isinstance(value, dict) or len(members := all_members(value)) != 1:
        return False
    name, text = members[0]
    return name == "b64" and isinstance(text, str)


def _type_error(value: Any, dtype: str) -> ServingError:
    return invalid_argument(
        f"JSON Value: {debug_string(value)} Type: {json_type(value)} "
        f"is not of expected type: {dtype}"
    )
