"""The JSON of a predict request -> arrays, by the rules and with the error texts of TF Serving.

Known differences: integers that an int8, int16 or uint8 input can't hold, which TF Serving wraps
around, are refused, and so are more than 64 dimensions. Of a name that an instance has twice the
first counts; there the values of both go into the tensor, which takes the first of all.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from keras_attn.serving.errors import ServingError, invalid_argument
from keras_attn.serving.models.signatures import TensorInfo
from keras_attn.serving.rest.json.debug import debug_string
from keras_attn.serving.rest.json.values import dense_shape, flatten, is_base64, to_array

Format = Literal["row", "column"]


def signature_name(document: dict[str, Any]) -> str:
    """The signature that a request asks for, `""` where it names none."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {debug_string(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def read_inputs(
    document: dict[str, Any], inputs: Mapping[str, TensorInfo]
) -> tuple[dict[str, np.ndarray], Format]:
    """Returns the arrays of a request by the names of `inputs`, and the format that it is in.

    Args:
        document: `{"instances": [one for each of the batch]}` (row), where several inputs make an
            instance an object; or `{"inputs": array or {name: array}}` (column).
        inputs: The signature's inputs.
    """
    if "instances" not in document and "inputs" not in document:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    if "instances" in document and "inputs" in document:
        raise _format_error(
            document,
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        )
    if "inputs" in document:
        return _read_columns(document["inputs"], inputs), "column"
    if not isinstance(document["instances"], list):
        raise _format_error(document, "Expecting 'instances' to be an list/array")
    if not document["instances"]:
        raise _format_error(document, "No values in 'instances' array")
    return _read_rows(document["instances"], inputs), "row"


def _read_columns(value: Any, inputs: Mapping[str, TensorInfo]) -> dict[str, np.ndarray]:
    if not _is_named_object(value):
        if len(inputs) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        value = {next(iter(inputs)): value}
    arrays = {}
    for name, info in inputs.items():
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        shape = dense_shape(value[name])
        arrays[name] = to_array(flatten(value[name], shape, info.dtype), shape, info.dtype)
    return arrays


def _read_rows(instances: list[Any], inputs: Mapping[str, TensorInfo]) -> dict[str, np.ndarray]:
    named = _is_named_object(instances[0])
    if not named and len(inputs) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    only = next(iter(inputs))
    values: dict[str, list[Any]] = {name: [] for name in inputs}
    shapes: dict[str, tuple[int, ...]] = {}
    for index, instance in enumerate(instances):
        if _is_named_object(instance) != named:
            expected, got = ("object", "list") if named else ("value/list", "object")
            raise invalid_argument(
                f"Expecting {expected} but got {got} at item {index} of input list"
            )
        for name, value in instance.items() if named else [(only, instance)]:
            try:
                _add_instance(name, value, inputs, values, shapes)
            except ServingError as error:
                key = f" key: {name}" if named else ""
                raise invalid_argument(
                    f"Failed to process element: {index}{key} of 'instances' list. "
                    f"Error: {error.with_code()}"
                ) from None
        if named and instance.keys() != inputs.keys():
            raise invalid_argument(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{debug_string(instance)} keys must be equal to: {','.join(sorted(inputs))}"
            )
    return {
        name: to_array(values[name], (len(instances), *shapes[name]), info.dtype)
        for name, info in inputs.items()
    }


def _add_instance(
    name: str,
    value: Any,
    inputs: Mapping[str, TensorInfo],
    values: dict[str, list[Any]],
    shapes: dict[str, tuple[int, ...]],
) -> None:
    """Adds one instance's tensor to `values`, and its shape to `shapes` where it is the first."""
    if name not in inputs:
        raise invalid_argument(f"JSON object: does not have named input: {name}")
    shape = dense_shape(value)
    flat = flatten(value, shape, inputs[name].dtype)
    first = shapes.setdefault(name, shape)
    if math.prod(first) != len(flat):
        raise invalid_argument(f"Expecting tensor size: {math.prod(first)} but got: {len(flat)}")
    if first != shape:
        raise invalid_argument(
            f"Expecting shape {_shape_string(first)} but got: {_shape_string(shape)}"
        )
    values[name].extend(flat)


def _is_named_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _format_error(value: Any, message: str) -> ServingError:
    return invalid_argument(f"JSON Value: {debug_string(value)} {message}")


def _shape_string(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
