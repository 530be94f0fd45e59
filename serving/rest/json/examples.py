"""The JSON of classify and regress: `{"examples": [{feature: value}]}` -> `{"results": ...}`."""

import json
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from keras_attn.serving.errors import invalid_argument
from keras_attn.serving.rest.json.debug import debug_string, json_type
from keras_attn.serving.rest.json.members import all_members
from keras_attn.serving.rest.json.output import decimals
from keras_attn.serving.rest.json.values import decode_base64, is_base64

INT64_MAX, UINT64_MAX = 2**63 - 1, 2**64 - 1


def read_examples(document: dict[str, Any]) -> input_pb2.Input:
    """Returns the examples of a request, with their common context where it has one."""
    value = input_pb2.Input()
    has_context = "context" in document
    if has_context:
        context = _example(document["context"])
        value.example_list_with_context.context.CopyFrom(context)
    if "examples" not in document:
        raise invalid_argument(
            f"JSON Value: {debug_string(document)} When method is classify, key 'examples' is "
            "expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid_argument(
            f"JSON Value: {debug_string(document)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        raise invalid_argument(
            f"JSON Value: {debug_string(document)} 'examples' value is an empty array"
        )
    target = value.example_list_with_context if has_context else value.example_list
    target.examples.extend(_example(example) for example in examples)
    return value


def write_classifications(result: classification_pb2.ClassificationResult) -> bytes:
    """Returns `{"results": [[[label, score], ...], ...]}`."""
    if not result.classifications:
        raise invalid_argument("Cannot convert empty ClassificationResults to JSON")
    rows = []
    for row in result.classifications:
        scores = decimals(np.array([one.score for one in row.classes], np.float32))
        pairs = zip(row.classes, scores, strict=True)
        rows.append(
            ", ".join(f"[{json.dumps(one.label, ensure_ascii=False)}, {s}]" for one, s in pairs)
        )
    return ('{"results": [' + ", ".join(f"[{row}]" for row in rows) + "]}").encode()


def write_regressions(result: regression_pb2.RegressionResult) -> bytes:
    """Returns `{"results": [value, ...]}`."""
    if not result.regressions:
        raise invalid_argument("Cannot convert empty RegressionResults to JSON")
    values = decimals(np.array([one.value for one in result.regressions], np.float32))
    return ('{"results": [' + ", ".join(values) + "]}").encode()


def _example(value: Any) -> tf.train.Example:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {json_type(value)}")
    example = tf.train.Example()
    for name, content in all_members(value):
        feature = tf.train.Feature()
        for element in content if isinstance(content, list) else [content]:
            _add(element, name, feature)
        # Of a name that is there twice the last counts, here alone.
        example.features.feature[name].CopyFrom(feature)
    return example


def _add(value: Any, name: str, feature: tf.train.Feature) -> None:
    kind, element = _kind(value, name)
    known = feature.WhichOneof("kind")
    if known not in (None, kind):
        words = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}
        raise invalid_argument(
            f"Unexpected element type in feature: {name} expecting type: {words[known]}"
        )
    getattr(feature, kind).value.append(element)


def _kind(value: Any, name: str) -> tuple[str, Any]:
    """The list of a Feature that a JSON value goes into, and what goes in."""
    if isinstance(value, bool):
        return "int64_list", int(value)
    if isinstance(value, int) and -INT64_MAX - 1 <= value <= UINT64_MAX:
        if value > INT64_MAX:
            raise invalid_argument(
                f"Feature: {name} has uint64_t element. Only int64_t is supported."
            )
        return "int64_list", value
    if isinstance(value, (int, float)):
        return "float_list", float(value)
    if isinstance(value, str):
        return "bytes_list", value.encode()
    if is_base64(value):
        return "bytes_list", decode_base64(value)
    raise invalid_argument(
        f"Feature: {name} has element with unexpected JSON type: {json_type(value)}"
    )
