"""What the names in TF Serving's C++ tests mean here: our functions under the names of theirs."""

from __future__ import annotations

import contextlib
import json
import pathlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from keras_attn.serving.errors import ServingError, not_found
from keras_attn.serving.models.signatures import TensorInfo
from keras_attn.serving.rest import routes
from keras_attn.serving.rest.json import document as json_document
from keras_attn.serving.rest.json import examples as json_examples
from keras_attn.serving.rest.json import input as json_input
from keras_attn.serving.rest.json import output as json_output

from .googletest import Reference
from .messages import (
    Map,
    Optional,
    Proto,
    Status,
    compare_json,
    compare_json_as_strings,
    equals_proto,
    has_substring,
    parse_text,
    plain,
)
from .servers import CODES, Handle, infer, over_grpc, same_headers
from .syntax import NotAskedError

# Assertions with these say that a test's own text or file can be read, and its model be had.
FIXTURES = {
    "TextFormat::ParseFromString",
    "tensorflow::ReadFileToString",
    "GetInferenceRunner",
    "GetServableHandle",
}
FORMATS: dict[json_input.Format, str] = {"row": "kRow", "column": "kColumnar"}


def tensor_info(proto: Any) -> TensorInfo:
    dtype = types_pb2.DataType.Name(proto.dtype)
    return TensorInfo(dtype.removeprefix("DT_").lower(), None)


def caught(function: Callable[..., None]) -> Callable[..., Status]:
    """A function of ours that raises as one of theirs that returns a status."""

    def call(*arguments: Any) -> Status:
        try:
            function(*arguments)
        except ServingError as error:
            return Status(int(error.code), error.message)
        return Status()

    return call


@caught
def read_predict_request(text: str, infos: Map, request: Proto, format: Reference) -> None:
    document = json_document.parse_request(text.encode())
    read = predict_pb2.PredictRequest()
    read.model_spec.signature_name = json_input.signature_name(document)
    arrays, found = json_input.read_inputs(
        document, {name: tensor_info(info.wrapped) for name, info in infos.items()}
    )
    for name, array in arrays.items():
        read.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    request.wrapped.CopyFrom(read)
    format.set(FORMATS[found])


@caught
def read_examples_request(text: str, request: Proto) -> None:
    document = json_document.parse_request(text.encode())
    read = type(request.wrapped)()
    name = json_input.signature_name(document)
    if name:
        read.model_spec.signature_name = name
    read.input.CopyFrom(json_examples.read_examples(document))
    request.wrapped.CopyFrom(read)


@caught
def write_tensors(tensors: Map, format: str, text: Reference) -> None:
    arrays = {name: tf.make_ndarray(tensor.wrapped) for name, tensor in tensors.items()}
    infos = {name: tensor_info(tensor.wrapped) for name, tensor in tensors.items()}
    found = next(name for name, theirs in FORMATS.items() if theirs == format)
    text.set(json_output.write_outputs(arrays, infos, format=found).decode())


@caught
def write_classifications(result: Proto, text: Reference) -> None:
    text.set(json_examples.write_classifications(result.wrapped).decode())


@caught
def write_regressions(result: Proto, text: Reference) -> None:
    text.set(json_examples.write_regressions(result.wrapped).decode())


def write_status(status: Status, text: Reference) -> None:
    if status.ok():
        raise NotAskedError("what succeeds has no status in its reply")
    text.set(routes.error_reply(400, status.message()).body.decode())


class Differencer:
    """Compares messages; how, is settled: as `plain` does."""

    def __getattr__(self, name: str) -> Callable:
        if not name.startswith("set_"):
            raise AttributeError(name)
        return lambda *_: None

    def Compare(self, one: Proto, other: Proto) -> bool:
        return plain(one.wrapped) == plain(other.wrapped)


class Recorder:
    """Stands in for the models, and notes what a request's path asks for."""

    def __init__(self) -> None:
        self.manager = self
        self.verb = ""
        self.target: Any = None
        self.subresource = ""

    @contextlib.contextmanager
    def request(self, name: str, *, api: str, entrypoint: str) -> Iterator[None]:
        self.verb = api
        yield

    def use(self, target: Any) -> None:
        self.target = target
        self.subresource = "" if self.verb else "metadata"
        raise not_found("noted")

    def statuses(self, target: Any) -> None:
        self.target = target
        raise not_found("noted")


def parse_model_info(method, path, name, version, label, verb, subresource, found) -> Status:
    recorder = Recorder()
    reply = routes.handle(recorder, method=method, path=path, body=b'{"instances": [1]}')  # type: ignore[arg-type]
    if recorder.target is None:
        error = json.loads(reply.body)["error"]
        understood = not error.startswith(("Malformed request", "Not found"))
        found.set(understood)
        return Status(CODES[reply.status], error) if understood else Status()
    found.set(True)
    name.set(recorder.target.name)
    version.set(recorder.target.version)
    label.set(recorder.target.label)
    verb.set(recorder.verb)
    subresource.set(recorder.subresource)
    return Status()


class Predictor:
    Predict = staticmethod(over_grpc(prediction_service_pb2_grpc.PredictionServiceStub, "Predict"))


def add_input(features: list[list[Any]], request: Proto) -> None:
    example = request.wrapped.input.example_list.examples.add()
    for name, value in features:
        example.features.feature[name].float_list.value.append(value)


def populate_task(model: str, signature: str, method: str, task: Proto) -> None:
    task.wrapped.model_spec.name = model
    task.wrapped.model_spec.signature_name = signature
    task.wrapped.method_name = method


def expect_status_error(status: Status, code: int, part: str) -> str:
    if status.code() != code:
        return f"{status.code()} is not {code}: {status.message()}"
    return has_substring(part)(status.message())


def maker(kind: type) -> Callable[[], Proto]:
    return lambda: Proto(kind())


def names(folder: pathlib.Path) -> dict[str, Any]:
    """Returns what the names mean that mean one thing in all files of the repository `folder`."""
    services = prediction_service_pb2_grpc.PredictionServiceStub
    kinds = (
        predict_pb2.PredictRequest,
        predict_pb2.PredictResponse,
        classification_pb2.ClassificationRequest,
        classification_pb2.ClassificationResponse,
        classification_pb2.ClassificationResult,
        regression_pb2.RegressionRequest,
        regression_pb2.RegressionResponse,
        regression_pb2.RegressionResult,
        get_model_metadata_pb2.GetModelMetadataRequest,
        get_model_metadata_pb2.GetModelMetadataResponse,
        get_model_status_pb2.GetModelStatusRequest,
        get_model_status_pb2.GetModelStatusResponse,
        inference_pb2.MultiInferenceRequest,
        inference_pb2.MultiInferenceResponse,
        model_pb2.ModelSpec,
        tensor_pb2.TensorProto,
    )
    known: dict[str, Any] = {kind.__name__: maker(kind) for kind in kinds}
    for kind in kinds:
        known[f"test_util::CreateProto<{kind.__name__}>"] = lambda text, kind=kind: Proto(
            text_format.Parse(text, kind())
        )
    for code in ("OK", "NOT_FOUND", "INVALID_ARGUMENT"):
        known[f"tensorflow::error::{code}"] = getattr(tf.errors, code)
    return known | {
        "true": True,
        "false": False,
        "string": str,
        "absl::Status": Status,
        "absl::OkStatus": Status,
        "absl::optional<int64_t>": Optional,
        "absl::optional<string>": Optional,
        "std::set<int64_t>": set,
        "bool": bool,
        "absl::StrCat": lambda *parts: "".join(map(str, parts)),
        "absl::Substitute": lambda text, number: text.replace("$0", f"{number:g}"),
        "absl::string_view": lambda text, size: text[:size],
        "std::numeric_limits<double>::max": lambda: float(np.finfo(np.float64).max),
        "std::numeric_limits<double>::min": lambda: float(np.finfo(np.float64).tiny),
        "std::numeric_limits<uint64_t>::max": lambda: 2**64 - 1,
        "absl::IsInvalidArgument": lambda s: s.code() == tf.errors.INVALID_ARGUMENT,
        "absl::IsNotFound": lambda s: s.code() == tf.errors.NOT_FOUND,
        "absl::StatusCode::kInvalidArgument": tf.errors.INVALID_ARGUMENT,
        "absl::StatusCode::kUnimplemented": tf.errors.UNIMPLEMENTED,
        "static_cast<absl::StatusCode>": lambda code: code,
        "errors::InvalidArgument": lambda text: Status(tf.errors.INVALID_ARGUMENT, text),
        "tensorflow::DT_FLOAT": types_pb2.DT_FLOAT,
        "tensorflow::DT_STRING": types_pb2.DT_STRING,
        "HasSubstr": has_substring,
        "EqualsProto": equals_proto,
        "test_util::EqualsProto": equals_proto,
        "CompareJson": compare_json,
        "CompareJsonAllValuesAsStrings": compare_json_as_strings,
        "TextFormat::ParseFromString": parse_text,
        "TensorInfoMap": lambda: Map(maker(meta_graph_pb2.TensorInfo)),
        "TensorMap": lambda: Map(maker(tensor_pb2.TensorProto)),
        "getmap": lambda infos: infos,
        "JsonPredictRequestFormat": str,
        "JsonPredictRequestFormat::kRow": "kRow",
        "JsonPredictRequestFormat::kColumnar": "kColumnar",
        "FillPredictRequestFromJson": read_predict_request,
        "MakeJsonFromTensors": write_tensors,
        "MakeJsonFromClassificationResult": write_classifications,
        "MakeJsonFromRegressionResult": write_regressions,
        "MakeJsonFromStatus": write_status,
        "this": types.SimpleNamespace(FillRequest=read_examples_request),
        "DefaultFieldComparator": Differencer,
        "DefaultFieldComparator::APPROXIMATE": None,
        "MessageDifferencer": Differencer,
        "MessageDifferencer::ApproximatelyEquals": Differencer().Compare,
        "ParseModelInfo": parse_model_info,
        "HeaderList": list,
        "UnorderedElementsAreArray": same_headers,
        "RE2::FullMatch": lambda path, core: core.is_asked(path),
        "GetJsonErrorMsg": lambda text: json.loads(text)["error"],
        "tensorflow::Env::Default": lambda: None,
        "tensorflow::ReadFileToString": caught(
            lambda _, path, text: text.set((folder / path).read_text())
        ),
        "RunOptions": lambda: None,
        "GetRunOptions": lambda: None,
        "thread::ThreadPoolOptions": lambda: None,
        "TensorflowPredictor": Predictor,
        "TensorflowClassificationServiceImpl::Classify": over_grpc(services, "Classify"),
        "TensorflowRegressionServiceImpl::Regress": over_grpc(services, "Regress"),
        "GetModelMetadataImpl::GetModelMetadata": over_grpc(services, "GetModelMetadata"),
        "GetModelMetadataImpl::kSignatureDef": "signature_def",
        "GetModelStatusImpl::GetModelStatus": over_grpc(
            model_service_pb2_grpc.ModelServiceStub, "GetModelStatus"
        ),
        "std::unique_ptr<TensorFlowMultiInferenceRunner>": Handle,
        "ServableHandle<SavedModelBundle>": Handle,
        "RunMultiInference": infer,
        "AddInput": add_input,
        "ExpectStatusError": expect_status_error,
        "kRegressMethodName": tf.saved_model.REGRESS_METHOD_NAME,
        "kClassifyMethodName": tf.saved_model.CLASSIFY_METHOD_NAME,
        "kPredictMethodName": tf.saved_model.PREDICT_METHOD_NAME,
        "kDefaultServingSignatureDefKey": tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY,
        "kRegressInputs": tf.saved_model.REGRESS_INPUTS,
        "kRegressOutputs": tf.saved_model.REGRESS_OUTPUTS,
        "kClassifyInputs": tf.saved_model.CLASSIFY_INPUTS,
        "kClassifyOutputScores": tf.saved_model.CLASSIFY_OUTPUT_SCORES,
    }
