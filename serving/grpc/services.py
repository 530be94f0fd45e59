"""TF Serving's gRPC services over the core: PredictionService and ModelService."""

import concurrent.futures
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from keras_attn.serving.core import Core
from keras_attn.serving.errors import Code, ServingError, invalid_argument
from keras_attn.serving.lifecycle.manager import Target
from keras_attn.serving.lifecycle.model_config import model_entries
from keras_attn.serving.models import examples, inference
from keras_attn.serving.models.served_model import ServedModel

MAX_MESSAGE = 1024  # of an error; TF Serving cuts the rest
SIGNATURE_DEF = "signature_def"
PREDICTIONS = {"Predict", "Classify", "Regress", "MultiInference"}
GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}

logger = logging.getLogger(__name__)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers Predict, Classify, Regress, MultiInference and GetModelMetadata."""

    def __init__(self, core: Core):
        self._core = core

    def Predict(  # noqa: N802
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Runs a signature on tensors."""
        core = self._core

        def answer(model: ServedModel) -> predict_pb2.PredictResponse:
            return inference.predict(
                model,
                request,
                max_bytes=core.max_body_bytes,
                as_content=core.tensor_content,
            )

        return self._answer(request, context, "Predict", answer)

    def Classify(  # noqa: N802
        self, request: classification_pb2.ClassificationRequest, context: grpc.ServicerContext
    ) -> classification_pb2.ClassificationResponse:
        """Runs a classification signature on examples."""
        return self._answer(
            request, context, "Classify", lambda model: examples.classify(model, request)
        )

    def Regress(  # noqa: N802
        self, request: regression_pb2.RegressionRequest, context: grpc.ServicerContext
    ) -> regression_pb2.RegressionResponse:
        """Runs a regression signature on examples."""
        return self._answer(
            request, context, "Regress", lambda model: examples.regress(model, request)
        )

    def MultiInference(  # noqa: N802
        self, request: inference_pb2.MultiInferenceRequest, context: grpc.ServicerContext
    ) -> inference_pb2.MultiInferenceResponse:
        """Runs several signatures on the same examples."""
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        with _errors_to(context), self._core.model(_target(spec), api="MultiInference") as model:
            return examples.multi_inference(model, request)

    def GetModelMetadata(  # noqa: N802
        self,
        request: get_model_metadata_pb2.GetModelMetadataRequest,
        context: grpc.ServicerContext,
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Tells the signatures of a model."""
        with _errors_to(context):
            target = _target_of(request)
            if not request.metadata_field:
                raise invalid_argument(
                    "GetModelMetadataRequest must specify at least one metadata_field"
                )
            for field in request.metadata_field:
                if field != SIGNATURE_DEF:
                    raise invalid_argument(f"Metadata field {field} is not supported")
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            with self._core.manager.use(target) as model:
                response.model_spec.name = model.name
                response.model_spec.version.value = model.version
                signatures = get_model_metadata_pb2.SignatureDefMap()
                for name, proto in model.signature_defs.items():
                    signatures.signature_def[name].CopyFrom(proto)
            response.metadata[SIGNATURE_DEF].Pack(signatures)
            return response

    def _answer(
        self, request: Any, context: grpc.ServicerContext, api: str, answer: Callable[[Any], Any]
    ) -> Any:
        with (
            _errors_to(context),
            self._core.request(request.model_spec.name, api=api, entrypoint="GRPC"),
        ):
            remaining = context.time_remaining()
            if remaining is not None and remaining <= 0:
                raise ServingError(Code.DEADLINE_EXCEEDED, "Deadline Exceeded")
            with self._core.model(_target_of(request), api=api) as model:
                return answer(model)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Answers GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, core: Core):
        self._core = core

    def GetModelStatus(  # noqa: N802
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Tells the states of the versions of a model."""
        with _errors_to(context):
            response = get_model_status_pb2.GetModelStatusResponse()
            for servable in self._core.manager.statuses(_target_of(request)):
                status = response.model_version_status.add()
                status.version = servable.version
                status.state = int(servable.state)
                status.status.error_code = 0
                if servable.error is not None:
                    status.status.error_code = int(servable.error.code)
                    status.status.error_message = servable.error.message
            return response

    def HandleReloadConfigRequest(  # noqa: N802
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        """Serves the models of another configuration from now on."""
        before = {name: self._core.metrics.value(name) for name in request.metric_names}
        with _errors_to(context):
            if not self._core.reload_config:
                raise ServingError(
                    Code.PERMISSION_DENIED, "This server's configuration is its owner's alone"
                )
            if request.config.WhichOneof("config") != "model_config_list":
                raise invalid_argument(
                    "ServerModelConfig type not supported by HandleReloadConfigRequest."
                    " Only ModelConfigList is currently supported"
                )
            if self._core.one_of_many:
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    "A server of several workers takes its configuration from its file alone",
                )
            self._core.manager.configure(model_entries(request.config))
        response = model_management_pb2.ReloadConfigResponse()
        for name, value in before.items():
            increase = int(self._core.metrics.value(name) - value)
            response.metric.add(name=name, int64_value_increase=increase)
        return response


class Methods(grpc.GenericRpcHandler):
    """The methods of the one service of a file, over messages that may be garbage.

    The generated code would answer INTERNAL where a request can't be parsed, as if the server
    were at fault.

    Args:
        servicer: Has a method for each of the service.
        file: The DESCRIPTOR of the generated module.
        telling: The threads of what is no prediction.
        is_full: Whether no more predictions are taken. Default: never.
    """

    def __init__(
        self,
        servicer: Any,
        file: Any,
        *,
        telling: concurrent.futures.Executor,
        is_full: Callable[[], bool] = lambda: False,
    ):
        ((name, service),) = file.services_by_name.items()
        self._is_full = is_full
        self._methods = {
            f"/{file.package}.{name}/{method.name}": _method(
                getattr(servicer, method.name), method, telling
            )
            for method in service.methods
        }
        _refuse.experimental_thread_pool = telling  # type: ignore[attr-defined]
        self._refusal = grpc.unary_unary_rpc_method_handler(_refuse)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Finds the method of a call."""
        path = handler_call_details.method
        method = self._methods.get(path)
        is_prediction = path.rpartition("/")[2] in PREDICTIONS
        return self._refusal if method is not None and is_prediction and self._is_full() else method


def _method(
    answer: Callable[[Any, grpc.ServicerContext], Any],
    method: Any,
    telling: concurrent.futures.Executor,
) -> Any:
    message_class = message_factory.GetMessageClass(method.input_type)

    def parse_and_answer(data: bytes, context: grpc.ServicerContext) -> Any:
        try:
            request = message_class.FromString(data)
        except DecodeError as error:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"The request is no {message_class.DESCRIPTOR.full_name}: {error}",
            )
        return answer(request, context)

    if method.name not in PREDICTIONS:
        parse_and_answer.experimental_thread_pool = telling  # type: ignore[attr-defined]
    return grpc.unary_unary_rpc_method_handler(
        parse_and_answer,
        response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
    )


def _refuse(data: bytes, context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many requests are under way")


@contextmanager
def _errors_to(context: grpc.ServicerContext) -> Iterator[None]:
    """Ends the call with the code and the message of what went wrong."""
    try:
        yield
    except ServingError as error:
        message = error.message
        if len(message) > MAX_MESSAGE:
            message = message[:MAX_MESSAGE] + "...TRUNCATED"
        context.abort(GRPC_CODES[int(error.code)], message)
    except Exception as error:
        logger.exception("a gRPC request failed")
        context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"[:MAX_MESSAGE])


def _target_of(request: Any) -> Target:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    return _target(request.model_spec)


def _target(spec: model_pb2.ModelSpec) -> Target:
    choice = spec.WhichOneof("version_choice")
    return Target(
        name=spec.name,
        version=spec.version.value if choice == "version" else None,
        label=spec.version_label if choice == "version_label" else None,
    )
