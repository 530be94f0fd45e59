"""TF Serving's wire contract, as its clients see it: REST and gRPC with the real stubs.

It runs against the local server. Against another one, a real tensorflow_model_server say:

    python tests/helpers/serving_models.py FOLDER          # prints the command that serves them
    export TF_SERVING=HOST:8500,http://HOST:8501 TF_SERVING_MODELS=FOLDER
    pytest tests/serving/test_contract.py

What is a local server's own (bounds) is not in here.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import types
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from helpers import serving_models
from keras_attn.serving import ServerOptions, start_server

OTHER = os.environ.get("TF_SERVING")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if OTHER:
        return pathlib.Path(os.environ["TF_SERVING_MODELS"])
    path = tmp_path_factory.mktemp("models")
    serving_models.write_models(path)
    return path


@pytest.fixture(scope="module")
def server(folder):
    if OTHER:
        address, url = OTHER.split(",")
        yield types.SimpleNamespace(grpc_address=address, url=url)
        return
    options = ServerOptions(allow_version_labels_for_unavailable_models=True)
    with start_server(model_config_file=folder / "models.config", options=options) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def session(folder):
    """Name, version, signature, inputs -> outputs of the loader and session that servers use."""
    sessions = {}

    def run(name, version, signature, **inputs):
        key = (name, version)
        if key not in sessions:
            graph = tf.Graph()
            sessions[key] = tf.compat.v1.Session(graph=graph)
            with graph.as_default():
                path = str(folder / name / str(version))
                meta = tf.compat.v1.saved_model.load(sessions[key], ["serve"], path)
            sessions[key].signatures = meta.signature_def
        definition = sessions[key].signatures[signature]
        feeds = {definition.inputs[k].name: v for k, v in inputs.items()}
        return sessions[key].run({k: v.name for k, v in definition.outputs.items()}, feeds)

    yield run
    for one in sessions.values():
        one.close()


def rest(server, path, request=None, method=None):
    """Returns status and JSON."""
    data = None if request is None else json.dumps(request).encode()
    target = urllib.request.Request(server.url + path, data=data, method=method)
    try:
        with urllib.request.urlopen(target) as reply:
            assert reply.headers["Content-Type"] == "application/json"
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def predict_request(name, signature="", version=None, label=None, only=(), **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    request.output_filter.extend(only)
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def arrays(response):
    return {key: tf.make_ndarray(value) for key, value in response.outputs.items()}


def error_of(call, *arguments):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, timeout=30)
    return caught.value.code(), caught.value.details()


def equal(actual, expected):
    assert actual.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(actual[key], value)


IMAGES = np.random.default_rng(1).random((3, 5, 7, 3), np.float32)
PIXELS = np.random.default_rng(2).integers(0, 256, (2, 11, 13, 3), np.uint8)
FILES = [serving_models.picture(seed=1), serving_models.picture(17, "JPEG", seed=2)]
CASES = [
    ("", {"image": IMAGES}),
    ("serve_uint8", {"image": PIXELS}),
    ("serve_bytes", {"image_bytes": np.array(FILES, object)}),
    ("serve_attention", {"image_bytes": np.array(FILES, object)}),
]


@pytest.mark.parametrize(("signature", "inputs"), CASES, ids=[case[0] for case in CASES])
def test_grpc_equals_the_session_to_the_last_bit(stub, session, signature, inputs):
    response = stub.Predict(predict_request("images", signature, **inputs), timeout=30)
    name = signature or "serving_default"
    equal(arrays(response), session("images", 2, name, **inputs))
    assert response.model_spec.name == "images"
    assert response.model_spec.version.value == 2
    assert response.model_spec.signature_name == name


@pytest.mark.parametrize(("signature", "inputs"), CASES, ids=[case[0] for case in CASES])
def test_rest_equals_the_session_to_the_last_bit(server, session, signature, inputs):
    ((key, value),) = inputs.items()
    if value.dtype == object:
        value = [{"b64": base64.b64encode(data).decode()} for data in value]
    else:
        value = value.tolist()
    expected = session("images", 2, signature or "serving_default", **inputs)
    request = {"signature_name": signature} if signature else {}
    path = "/v1/models/images:predict"
    status, reply = rest(server, path, {**request, "inputs": {key: value}})
    assert status == 200
    columns = reply["outputs"]
    status, reply = rest(server, path, {**request, "instances": [{key: row} for row in value]})
    assert status == 200
    rows = {name: [row[name] for row in reply["predictions"]] for name in expected}
    for found in (columns, rows):
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            if array.dtype == object:
                assert found[name] == np.char.decode(array.astype(bytes)).tolist()
            else:
                np.testing.assert_array_equal(np.array(found[name], array.dtype), array)


@pytest.mark.parametrize("dtype", serving_models.TYPES, ids=lambda dtype: dtype.name)
def test_every_type_comes_back_as_it_went(stub, dtype):
    if dtype == tf.string:
        value = np.array([[b"a", b"\0\xff"], [b"", "é".encode()]], object)
    else:
        value = tf.cast(np.arange(6).reshape(2, 3) % 3, dtype).numpy()
    request = predict_request("examples", f"same_{dtype.name}", x=value)
    equal(arrays(stub.Predict(request, timeout=30)), {"y": value})
    scalar = value.reshape(-1)[1]
    request = predict_request("examples", f"same_{dtype.name}", x=scalar)
    equal(arrays(stub.Predict(request, timeout=30)), {"y": scalar})


def test_typed_fields_and_content_mean_the_same(stub):
    request = predict_request("examples", "same_float32")
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=4)
    request.inputs["x"].float_val.extend([1.5, 2.5])  # the last stands for the rest
    response = stub.Predict(request, timeout=30)
    equal(arrays(response), {"y": np.float32([1.5, 2.5, 2.5, 2.5])})
    assert list(response.outputs["y"].float_val) == [1.5, 2.5, 2.5, 2.5]


def test_versions_and_labels(server, stub, session):
    for version, label in ((1, "stable"), (2, "canary")):
        expected = session("images", version, "serving_default", image=IMAGES)
        for choice in ({"version": version}, {"label": label}):
            response = stub.Predict(predict_request("images", image=IMAGES, **choice), timeout=30)
            equal(arrays(response), expected)
            assert response.model_spec.version.value == version
        for path in (f"versions/{version}", f"labels/{label}"):
            path = f"/v1/models/images/{path}:predict"
            status, reply = rest(server, path, {"inputs": IMAGES.tolist()})
            assert status == 200
            np.testing.assert_array_equal(
                np.float32(reply["outputs"]["logits"]), expected["logits"]
            )


def test_an_output_filter(stub, session):
    expected = session("images", 2, "serving_default", image=IMAGES)
    request = predict_request("images", image=IMAGES, only=["logits"])
    equal(arrays(stub.Predict(request, timeout=30)), {"logits": expected["logits"]})
    request = predict_request("images", image=IMAGES, only=["none"])
    assert error_of(stub.Predict, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "output tensor alias not found in signature: none "
        "Outputs expected to be in the set {logits,probabilities}.",
    )
    request = predict_request("images", image=IMAGES, only=["logits", "logits"])
    assert error_of(stub.Predict, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "duplicate output tensor alias: logits",
    )


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (
            predict_request("none", image=IMAGES),
            "NOT_FOUND",
            "Servable not found for request: Latest(none)",
        ),
        (
            predict_request("images", version=9, image=IMAGES),
            "NOT_FOUND",
            "Servable not found for request: Specific(images, 9)",
        ),
        (
            predict_request("images", label="none", image=IMAGES),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: none",
        ),
        (
            predict_request("images", "none", image=IMAGES),
            "FAILED_PRECONDITION",
            'Serving signature key "none" not found.',
        ),
        (
            predict_request("images", image=IMAGES, other=IMAGES),
            "INVALID_ARGUMENT",
            "input size does not match signature: 2!=1 len({image,other}) != len({image}). "
            "Sent extra: {other}. Missing but required: {}.",
        ),
        (predict_request("", image=IMAGES), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    ],
)
def test_errors_of_predict(stub, request_, code, message):
    assert error_of(stub.Predict, request_) == (getattr(grpc.StatusCode, code), message)


def test_an_image_that_is_none(server, stub):
    request = predict_request("images", "serve_bytes", image_bytes=np.array([b"garbage"], object))
    code, message = error_of(stub.Predict, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert message.startswith("Unknown image file format")
    request = {"signature_name": "serve_bytes", "instances": ["garbage"]}
    status, reply = rest(server, "/v1/models/images:predict", request)
    assert status == 400
    assert reply["error"].startswith("Unknown image file format")


def examples_input(message, values, context=None):
    if context is not None:
        target = message.input.example_list_with_context
        target.context.features.feature["y"].float_list.value.append(context)
    else:
        target = message.input.example_list
    for value in values:
        target.examples.add().features.feature["x"].float_list.value.append(value)
    return message


def test_classify(server, stub):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "examples"
    request.model_spec.signature_name = "classify"
    response = stub.Classify(examples_input(request, [0.25, 0.75], context=0.5), timeout=30)
    found = [
        [(one.label, one.score) for one in row.classes] for row in response.result.classifications
    ]
    assert found == [[("low", 0.875), ("high", 0.125)], [("low", 0.625), ("high", 0.375)]]
    assert response.model_spec.version.value == 7
    body = {"signature_name": "classify", "context": {"y": 0.5}, "examples": [{"x": 0.25}]}
    assert rest(server, "/v1/models/examples:classify", body) == (
        200,
        {"results": [[["low", 0.875], ["high", 0.125]]]},
    )


def test_regress(server, stub):
    request = regression_pb2.RegressionRequest()
    request.model_spec.name = "examples"
    request.model_spec.signature_name = "regress"
    response = stub.Regress(examples_input(request, [0.25, 0.75]), timeout=30)
    assert [one.value for one in response.result.regressions] == [0.25, 0.75]
    body = {"signature_name": "regress", "examples": [{"x": [0.25]}, {"x": 0.75}]}
    assert rest(server, "/v1/models/examples/versions/7:regress", body) == (
        200,
        {"results": [0.25, 0.75]},
    )


def test_multi_inference(stub):
    request = inference_pb2.MultiInferenceRequest()
    for method in ("classify", "regress"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name = "examples"
        task.model_spec.signature_name = method
    response = stub.MultiInference(examples_input(request, [0.25]), timeout=30)
    classes, regressions = response.results
    assert classes.classification_result.classifications[0].classes[1].score == 0.25
    assert regressions.regression_result.regressions[0].value == 0.25
    assert regressions.model_spec.version.value == 7
    request.tasks[1].model_spec.name = "images"
    assert error_of(stub.MultiInference, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    )


@pytest.mark.parametrize(
    ("verb", "body", "status", "error"),
    [
        ("classify", {"examples": []}, 400, "'examples' value is an empty array"),
        ("classify", {"examples": {}}, 400, "Expecting 'examples' value to be an list/array"),
        ("regress", {"examples": [1]}, 400, "Example must be JSON object but got JSON Number"),
        (
            "regress",
            {"examples": [{"x": [1, "a"]}]},
            400,
            "Unexpected element type in feature: x expecting type: int64",
        ),
        (
            "regress",
            {"examples": [{"x": None}]},
            400,
            "Feature: x has element with unexpected JSON type: Null",
        ),
        (
            "regress",
            {"signature_name": "none", "examples": [{"x": 1.0}]},
            400,
            "No signature was found with the name: none",
        ),
        ("classify", {"examples": [{"x": 1.0}]}, 400, "No classification inputs found"),
        ("predict", {"inputs": [1], "signature_name": "same_float16"}, 501, "to type: half"),
    ],
)
def test_errors_over_rest(server, verb, body, status, error):
    code, reply = rest(server, f"/v1/models/examples:{verb}", body)
    assert (code, error in reply["error"]) == (status, True), reply


def test_classify_without_examples(stub):
    request = classification_pb2.ClassificationRequest()
    assert error_of(stub.Classify, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Missing ModelSpec",
    )
    request.model_spec.name = "examples"
    request.model_spec.signature_name = "classify"
    assert error_of(stub.Classify, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Input is empty.",
    )


def test_status(server, channel):
    service = model_service_pb2_grpc.ModelServiceStub(channel)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "images"
    response = service.GetModelStatus(request, timeout=30)
    found = [(one.version, one.state) for one in response.model_version_status]
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert found == [(2, available), (1, available)]
    status, reply = rest(server, "/v1/models/images")
    assert status == 200
    assert reply["model_version_status"] == [
        {
            "version": version,
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        for version in ("2", "1")
    ]
    status, reply = rest(server, "/v1/models/images/versions/1")
    assert [one["version"] for one in reply["model_version_status"]] == ["1"]
    request.model_spec.version.value = 9
    message = "Could not find version 9 of model images"
    assert error_of(service.GetModelStatus, request) == (grpc.StatusCode.NOT_FOUND, message)
    assert rest(server, "/v1/models/images/versions/9") == (404, {"error": message})


def test_metadata(server, stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "images"
    request.model_spec.version_label = "stable"
    response = stub.GetModelMetadata(request, timeout=30)
    assert response.model_spec.version.value == 1
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "serve_bytes"} <= set(signatures.signature_def)
    status, reply = rest(server, "/v1/models/images/labels/stable/metadata")
    assert status == 200
    assert reply["model_spec"]["version"] == "1"
    image = reply["metadata"]["signature_def"]["signature_def"]["serve_uint8"]["inputs"]["image"]
    assert image["dtype"] == "DT_UINT8"
    request.metadata_field[:] = ["other"]
    assert error_of(stub.GetModelMetadata, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Metadata field other is not supported",
    )


def test_health(channel):
    check = health_pb2_grpc.HealthStub(channel).Check
    for service in ("", "ModelService", "PredictionService"):
        reply = check(health_pb2.HealthCheckRequest(service=service), timeout=30)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_metrics(server, stub):
    if OTHER:
        pytest.skip("a tensorflow_model_server has metrics where a monitoring config says so")
    stub.Predict(predict_request("images", image=IMAGES), timeout=30)
    with urllib.request.urlopen(server.url + "/monitoring/prometheus/metrics") as reply:
        assert reply.headers["Content-Type"].startswith("text/plain")
        text = reply.read().decode()
    assert ':tensorflow:serving:request_count{model_name="images",status="OK"}' in text
    assert (
        ':tensorflow:serving:request_latency_bucket{model_name="images",API="Predict",'
        'entrypoint="GRPC",le="10"}'
    ) in text
