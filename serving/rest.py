"""TF Serving's REST interface without the network: method, path and body -> status and body."""

import json
import logging
import re
import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple

from google.protobuf import json_format

from keras_attn.serving import json_input, json_output
from keras_attn.serving.errors import HTTP_STATUS, Code, ServingError, invalid_argument, not_found
from keras_attn.serving.models import ServedModel

_PREDICTION = re.compile(
    r"(?i:/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?):(classify|regress|predict)",
    re.ASCII,
)
_STATUS = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?",
    re.ASCII | re.IGNORECASE,
)
_MAX_VERSION = 2**63 - 1

logger = logging.getLogger(__name__)


class Reply(NamedTuple):
    """What goes back: an HTTP status and JSON."""

    status: int
    body: bytes


class Target(NamedTuple):
    """The model that a path names, and which of its versions."""

    name: str
    version: int | None
    label: str | None


def handle(models: Mapping[str, ServedModel], *, method: str, path: str, body: bytes) -> Reply:
    """Answers one request; whatever goes wrong becomes a reply.

    Args:
        models: The served models by their names.
        method: `"GET"` or `"POST"`.
        path: Of the URL, still percent-encoded, without the query.
        body: Of the request.
    """
    try:
        return Reply(200, _answer(models, method, path, body))
    except ServingError as error:
        return error_reply(HTTP_STATUS[error.code], error.message)
    except Exception as error:
        logger.exception("%s %s failed", method, path)
        return error_reply(HTTP_STATUS[Code.INTERNAL], f"{type(error).__name__}: {error}")


def error_reply(status: int, message: str) -> Reply:
    """Returns `{"error": message}`."""
    return Reply(status, json.dumps({"error": message}).encode())


def _answer(models: Mapping[str, ServedModel], method: str, path: str, body: bytes) -> bytes:
    if not path.lower().startswith("/v1/"):
        raise not_found(f"Not found: {path}. The models are under /v1/models")
    prediction = _PREDICTION.fullmatch(path) if method == "POST" else None
    status = _STATUS.fullmatch(path) if method == "GET" else None
    if prediction:
        target = _target(*prediction.groups()[:3])
        return _predict(models, target, verb=prediction[4], body=body)
    if status:
        target = _target(*status.groups()[:3])
        if not target.name:
            raise invalid_argument("Missing model name in request.")
        return _metadata(models, target) if status[4] == "metadata" else _status(models, target)
    raise invalid_argument(f"Malformed request: {method} {path}")


def _target(name: str | None, version: str | None, label: str | None) -> Target:
    number = None if version is None else int(version.lstrip("0")[:20] or "0")
    if number is not None and number > _MAX_VERSION:
        raise invalid_argument(f"Failed to convert version: {version} to numeric.")
    return Target(
        name=urllib.parse.unquote(name or ""),
        version=number,
        label=None if label is None else urllib.parse.unquote(label),
    )


def _predict(models: Mapping[str, ServedModel], target: Target, *, verb: str, body: bytes) -> bytes:
    if verb != "predict":
        raise ServingError(Code.UNIMPLEMENTED, f"{verb} is not implemented by this server")
    document = json_input.parse_request(body)
    signature_name = json_input.signature_name(document)
    model = _find(models, target)
    _, signature = model.signature(signature_name)
    inputs, format = json_input.read_inputs(document, signature.inputs)
    outputs = model.predict(inputs, signature_name=signature_name)
    return json_output.write_outputs(outputs, signature.outputs, format=format)


def _status(models: Mapping[str, ServedModel], target: Target) -> bytes:
    model = models.get(target.name)  # TF Serving does not look at a label here
    if target.version is not None and (model is None or model.version != target.version):
        raise not_found(f"Could not find version {target.version} of model {target.name}")
    if model is None:
        raise not_found(f"Could not find any versions of model {target.name}")
    version = {
        "version": str(model.version),
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return json.dumps({"model_version_status": [version]}).encode()


def _metadata(models: Mapping[str, ServedModel], target: Target) -> bytes:
    model = _find(models, target)
    signature_defs = {
        name: json_format.MessageToDict(
            proto, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for name, proto in model.signature_defs.items()
    }
    reply = {
        "model_spec": {"name": model.name, "signature_name": "", "version": str(model.version)},
        "metadata": {"signature_def": {"signature_def": signature_defs}},
    }
    return json.dumps(reply).encode()


def _find(models: Mapping[str, ServedModel], target: Target) -> ServedModel:
    if target.label is not None:
        raise invalid_argument(f"Unrecognized servable version label: {target.label}")
    model = models.get(target.name)
    if target.version is not None and (model is None or model.version != target.version):
        raise not_found(
            f"Servable not found for request: Specific({target.name}, {target.version})"
        )
    if model is None:
        raise not_found(f"Servable not found for request: Latest({target.name})")
    return model
