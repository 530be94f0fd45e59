"""The gRPC port: TF Serving's two services and the standard health check."""

import concurrent.futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from keras_attn.serving.core import Core
from keras_attn.serving.grpc_services import ModelService, PredictionService, handlers
from keras_attn.serving.options import ServerOptions
from keras_attn.serving.tls import Tls

# The server as a whole, TF Serving's names of its two services, and their full ones.
HEALTH_NAMES = (
    "",
    "ModelService",
    "PredictionService",
    "tensorflow.serving.ModelService",
    "tensorflow.serving.PredictionService",
)


class GrpcServer:
    """Listens from its construction on, answers from `start` on.

    Args:
        core: The models.
        options: The server's.
        host: The address to listen at.
        port: 0 takes a free one.
        tls: Default: none.

    Attributes:
        port: That was taken.
    """

    def __init__(
        self, core: Core, options: ServerOptions, *, host: str, port: int, tls: Tls | None = None
    ):
        self._options = options
        self._health = health.HealthServicer()
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(
                options.request_threads, thread_name_prefix="grpc"
            ),
            maximum_concurrent_rpcs=options.max_requests,
            options=[
                ("grpc.max_receive_message_length", options.max_body_bytes),
                ("grpc.max_send_message_length", -1),
                # Else a second server would share a taken port without a word.
                ("grpc.so_reuseport", int(core.one_of_many)),
            ],
        )
        self._server.add_generic_rpc_handlers(
            (
                handlers(PredictionService(core), prediction_service_pb2.DESCRIPTOR),
                handlers(ModelService(core), model_service_pb2.DESCRIPTOR),
            )
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if tls is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, tls.grpc_credentials())
        except RuntimeError:
            self.port = 0
        if self.port == 0:
            raise OSError(f"port {port} at {host} can't be had for gRPC; choose another")

    def start(self) -> None:
        """Begins to answer."""
        self._server.start()
        for name in HEALTH_NAMES:
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Reports that it does not serve, takes no more calls, and answers those under way."""
        self._health.enter_graceful_shutdown()
        self._server.stop(self._options.drain_seconds).wait()
