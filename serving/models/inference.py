"""A request's message -> the reply's, for one model: what gRPC, REST and warm-up share."""

import contextlib
import sys
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import model_pb2, predict_pb2

from keras_attn.serving.errors import Code, ServingError, invalid_argument
from keras_attn.serving.models import tensors
from keras_attn.serving.models.served_model import DEFAULT_SIGNATURE, ServedModel
from keras_attn.serving.models.signatures import Signature


def predict(
    model: ServedModel,
    request: predict_pb2.PredictRequest,
    *,
    max_bytes: int,
    as_content: bool = False,
) -> predict_pb2.PredictResponse:
    """Answers a PredictRequest.

    Args:
        model: Model that the request asks for.
        request: Message as TF Serving defines it.
        max_bytes: Largest size of one tensor, in bytes.
        as_content: Whether the reply's numbers go into `tensor_content`.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if name not in model.signatures:
        raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    signature = model.signatures[name]
    defaults = model.signature_defs[name].defaults
    _check_names(set(request.inputs), signature, set(defaults))
    shapes = {key: [d.size for d in p.tensor_shape.dim] for key, p in request.inputs.items()}
    model.budget.check_shapes(signature, shapes)  # before a tensor of such a shape is made
    inputs = {}
    for key in signature.inputs:
        sent = key in request.inputs
        proto, limit = (request.inputs[key], max_bytes) if sent else (defaults[key], sys.maxsize)
        inputs[key] = tensors.from_proto(proto, name=key, max_bytes=limit)
    wanted = _wanted(request.output_filter, signature)
    outputs = model.predict(inputs, signature_name=name, outputs=wanted)
    response = predict_pb2.PredictResponse()
    fill_model_spec(response.model_spec, request.model_spec.name, model, name)
    for key, array in outputs.items():
        response.outputs[key].MergeFrom(tensors.to_proto(array, as_content=as_content))
    return response


def fill_model_spec(
    spec: model_pb2.ModelSpec, name: str, model: ServedModel, signature_name: str
) -> None:
    """Writes who answered: the name as it was asked for, the version, the signature."""
    spec.name = name
    spec.signature_name = signature_name
    spec.version.value = model.version


def _check_names(sent: set[str], signature: Signature, defaults: set[str]) -> None:
    required = set(signature.inputs)
    if len(sent) > len(required) or (len(sent) < len(required) and not defaults):
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(required)} "
            f"len({_braces(sent)}) != len({_braces(required)}). "
            f"Sent extra: {_braces(sent - required)}. "
            f"Missing but required: {_braces(required - sent)}."
        )
    missing = sorted(required - sent - defaults)
    if missing:
        raise invalid_argument(
            f"Signature input alias: {missing[0]}(feed name: {signature.inputs[missing[0]].name}) "
            "not found in request and no default value provided. Inputs expected to be in the "
            f"request {_braces(sent)}, or default input alias set: {','.join(sorted(defaults))}"
        )
    if sent - required:
        raise invalid_argument(
            "Inputs contains invalid name. Used request inputs: "
            f"{','.join(sorted(sent & required))}, request input: {','.join(sorted(sent))}"
        )


def _wanted(output_filter: Sequence[str], signature: Signature) -> list[str]:
    for index, name in enumerate(output_filter):
        if name not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {_braces(signature.outputs)}."
            )
        if name in output_filter[:index]:
            raise invalid_argument(f"duplicate output tensor alias: {name}")
    return list(output_filter) or list(signature.outputs)


def _braces(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def run_examples(
    model: ServedModel, examples: Sequence[bytes], inputs: Iterable[str], outputs: Sequence[str]
) -> dict[str, np.ndarray]:
    """Feeds serialized tf.Examples to the graph's tensors `inputs`; arrays by `outputs`."""
    array = np.empty(len(examples), np.object_)
    array[:] = examples
    if model.budget.decodes:
        model.budget.check_strings([_strings_of(examples)])
    fetches = sorted(set(outputs))
    return dict(zip(fetches, model.run(dict.fromkeys(sorted(inputs), array), fetches), strict=True))


def _strings_of(examples: Iterable[bytes]) -> np.ndarray:
    """All strings in the features; of what is no Example, which the graph refuses, none."""
    strings = []
    for data in examples:
        with contextlib.suppress(DecodeError):
            features = tf.train.Example.FromString(data).features.feature.values()
            strings += [value for feature in features for value in feature.bytes_list.value]
    array = np.empty(len(strings), np.object_)
    array[:] = strings
    return array
