"""TF Serving's REST interface without the network: method, path and body -> status and body."""

import json
import logging
import re
import urllib.parse
from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf import json_format
from tensorflow_serving.apis import classification_pb2, regression_pb2

from keras_attn.serving.core import Core
from keras_attn.serving.errors import HTTP_STATUS, Code, ServingError, invalid_argument, not_found
from keras_attn.serving.lifecycle.manager import Target
from keras_attn.serving.models import examples
from keras_attn.serving.models.served_model import ServedModel
from keras_attn.serving.rest.json import document as json_document
from keras_attn.serving.rest.json import examples as json_examples
from keras_attn.serving.rest.json import input as json_input
from keras_attn.serving.rest.json import output as json_output

_PREDICTION = re.compile(
    r"(?i:/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?)"
    r":(?P<verb>classify|regress|predict)",
    re.ASCII,
)
_STATUS = re.compile(
    r"/v1/models(?:/(?P<name>[^/:]+))?(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<metadata>/metadata)?",
    re.ASCII | re.IGNORECASE,
)
# Verb -> the request's message, what answers it, and its result -> JSON.
_ON_EXAMPLES: dict[
    str, tuple[Callable[[], Any], Callable[[ServedModel, Any], Any], Callable[[Any], bytes]]
] = {
    "classify": (
        classification_pb2.ClassificationRequest,
        examples.classify,
        json_examples.write_classifications,
    ),
    "regress": (
        regression_pb2.RegressionRequest,
        examples.regress,
        json_examples.write_regressions,
    ),
}
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_MAX_VERSION = 2**63 - 1

logger = logging.getLogger(__name__)


class Reply(NamedTuple):
    """What goes back: an HTTP status and JSON."""

    status: int
    body: bytes


def handle(core: Core, *, method: str, path: str, body: bytes, query: str = "") -> Reply:
    """Answers one request; whatever goes wrong becomes a reply.

    Args:
        core: The models.
        method: `"GET"` or `"POST"`.
        path: Path of the URL, still percent-encoded, without the query.
        body: Body of the request.
        query: Query of the URL. It belongs to the path, as in TF Serving: no request has one.
    """
    if query:
        path = f"{path}?{query}"
    try:
        return Reply(200, _answer(core, method, path, body))
    except ServingError as error:
        return error_reply(HTTP_STATUS[error.code], error.message)
    except Exception as error:
        logger.exception("%s %s failed", method, path)
        return error_reply(HTTP_STATUS[Code.INTERNAL], f"{type(error).__name__}: {error}")


def origin_form(target: str) -> str:
    """Returns the path of a request's target, which proxies are sent as a whole URL."""
    whole = _ABSOLUTE.match(target)
    return target if whole is None else target[whole.end() :] or "/"


def error_reply(status: int, message: str) -> Reply:
    """Returns `{"error": message}`."""
    return Reply(status, to_json({"error": message}))


def to_json(value: Any) -> bytes:
    """Returns a body."""
    return json.dumps(value).encode()


def _answer(core: Core, method: str, path: str, body: bytes) -> bytes:
    if not path.lower().startswith("/v1/"):
        raise not_found(f"Not found: {path}. The models are under /v1/models")
    prediction = _PREDICTION.fullmatch(path) if method == "POST" else None
    status = _STATUS.fullmatch(path) if method == "GET" else None
    match = prediction or status
    name = urllib.parse.unquote((match and match["name"]) or "")
    verb = prediction["verb"] if prediction else ""
    with core.request(name, api=verb, entrypoint="REST"):
        if match is None:
            raise invalid_argument(f"Malformed request: {method} {path}")
        target = _target(name, match["version"], match["label"])
        if prediction:
            document = json_document.parse_request(body)
            answer = _predict if verb == "predict" else _on_examples
            return answer(core, target, verb, document)
        if not target.name:
            raise invalid_argument("Missing model name in request.")
        return (_metadata if match["metadata"] else _status)(core, target)


def _target(name: str, version: str | None, label: str | None) -> Target:
    number = None if version is None else int(version.lstrip("0")[:20] or "0")
    if number is not None and number > _MAX_VERSION:
        raise invalid_argument(f"Failed to convert version: {version} to numeric.")
    return Target(
        name=name,
        version=number,
        label=None if label is None else urllib.parse.unquote(label),
    )


def _predict(core: Core, target: Target, verb: str, document: dict[str, Any]) -> bytes:
    signature_name = json_input.signature_name(document)
    with core.manager.use(target) as model:
        name, signature = model.signature(signature_name)
        if not signature.inputs:  # JSON can't say that there are none; gRPC can
            raise invalid_argument(f"Failed to get input map for signature: {name}")
        inputs, format = json_input.read_inputs(document, signature.inputs)
        with core.metrics.runtime(model.name, "Predict"):
            outputs = model.predict(inputs, signature_name=signature_name)
        return json_output.write_outputs(outputs, signature.outputs, format=format)


def _on_examples(core: Core, target: Target, verb: str, document: dict[str, Any]) -> bytes:
    make_request, answer, write = _ON_EXAMPLES[verb]
    request = make_request()
    request.model_spec.name = target.name
    request.model_spec.signature_name = json_input.signature_name(document)
    request.input.CopyFrom(json_examples.read_examples(document))
    with core.model(target, api=verb.capitalize()) as model:
        response = answer(model, request)
    return write(response.result)


def _status(core: Core, target: Target) -> bytes:
    versions = [
        {
            "version": str(servable.version),
            "state": servable.state.name,
            "status": {
                "error_code": servable.error.code.name if servable.error else "OK",
                "error_message": servable.error.message if servable.error else "",
            },
        }
        for servable in core.manager.statuses(target)  # TF Serving does not look at a label here
    ]
    return to_json({"model_version_status": versions})


def _metadata(core: Core, target: Target) -> bytes:
    with core.manager.use(target) as model:
        signature_defs = {
            name: json_format.MessageToDict(
                proto, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
            for name, proto in model.signature_defs.items()
        }
        spec = {"name": model.name, "signature_name": "", "version": str(model.version)}
    reply = {
        "model_spec": spec,
        "metadata": {"signature_def": {"signature_def": signature_defs}},
    }
    return to_json(reply)
