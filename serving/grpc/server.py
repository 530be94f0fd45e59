"""The gRPC port: TF Serving's two services and the standard health check."""

import concurrent.futures
import functools
import os
import threading
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from keras_attn.serving.core import Core
from keras_attn.serving.grpc.channel_arguments import read_channel_arguments
from keras_attn.serving.grpc.services import Methods, ModelService, PredictionService
from keras_attn.serving.options import ServerOptions
from keras_attn.serving.process.file_descriptors import most_connections
from keras_attn.serving.process.tls import Tls

# The server as a whole, TF Serving's names of its two services, and their full ones.
HEALTH_NAMES = (
    "",
    "ModelService",
    "PredictionService",
    "tensorflow.serving.ModelService",
    "tensorflow.serving.PredictionService",
)
SPARE_CALLS = 256  # of health, status and metadata, while predictions have all of theirs
KEEPALIVE_MS = 120_000


class Pool(concurrent.futures.ThreadPoolExecutor):
    """Threads that know how many calls they have.

    Attributes:
        calls: Those under way and those that wait.
    """

    def __init__(self, threads: int, name: str):
        super().__init__(threads, thread_name_prefix=name)
        self.calls = 0
        self._lock = threading.Lock()

    def submit(self, *arguments: Any, **named: Any) -> concurrent.futures.Future[Any]:
        """Takes a call."""
        with self._lock:
            self.calls += 1
        future = super().submit(*arguments, **named)
        future.add_done_callback(self._one_less)
        return future

    def _one_less(self, future: concurrent.futures.Future[Any]) -> None:
        with self._lock:
            self.calls -= 1


class GrpcServer:
    """The gRPC port: it is taken and answers from `__enter__` to `__exit__`.

    Predictions count against `max_requests`. Health, status and metadata have threads of their
    own, so that they answer under any load.

    Args:
        core: The models.
        options: Options of the server.
        host: The address to listen at.
        port: The port to take.
        tls: Key and certificates. Default: plain text.
    """

    def __init__(
        self, core: Core, options: ServerOptions, *, host: str, port: int, tls: Tls | None = None
    ):
        self._core = core
        self._options = options
        self._host = host
        self._port = port
        self._tls = tls
        self._predicting = Pool(options.request_threads, "grpc")
        self._telling = Pool(2, "grpc-status")
        self._health = health.HealthServicer()
        self._stopped: threading.Event | None = None

    def __enter__(self) -> "GrpcServer":
        self._server = self._make_server()
        try:
            self._take_ports()
        except OSError:
            # gRPC gives a port back where a server stops, and stops only one that has started.
            self._server.start()
            self._server.stop(None).wait()
            raise
        self._server.start()
        for name in HEALTH_NAMES:
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return self

    def __exit__(self, *_: object) -> None:
        """Answers what is under way, for up to `drain_seconds`."""
        self.drain().wait()
        self._predicting.shutdown(wait=False, cancel_futures=True)
        self._telling.shutdown(wait=False, cancel_futures=True)

    def drain(self) -> threading.Event:
        """Reports that it does not serve, and takes no more calls; the event is their end."""
        if self._stopped is None:
            self._health.enter_graceful_shutdown()
            self._stopped = self._server.stop(self._options.drain_seconds)
        return self._stopped

    @property
    def under_way(self) -> int:
        """How many calls are being worked on or wait for it."""
        return self._predicting.calls

    def _make_server(self) -> grpc.Server:
        core, options, predicting = self._core, self._options, self._predicting
        check = functools.partial(self._health.Check)
        check.experimental_thread_pool = self._telling  # type: ignore[attr-defined]
        self._health.Check = check
        server = grpc.server(
            predicting,
            maximum_concurrent_rpcs=options.max_requests + SPARE_CALLS,
            options=[
                ("grpc.max_receive_message_length", options.max_body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.server_handshake_timeout_ms", int(1e3 * options.timeout_head)),
                (
                    "grpc.max_allowed_incoming_connections",
                    most_connections(options.max_connections),
                ),
                # A client that is gone without a word is noticed.
                ("grpc.keepalive_time_ms", KEEPALIVE_MS),
                ("grpc.keepalive_timeout_ms", KEEPALIVE_MS // 2),
                ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 4),
                # Else a second server would share a taken port without a word.
                ("grpc.so_reuseport", int(core.one_of_many)),
                *read_channel_arguments(options.grpc_channel_arguments),
            ],
        )
        server.add_generic_rpc_handlers(
            (
                Methods(
                    PredictionService(core),
                    prediction_service_pb2.DESCRIPTOR,
                    telling=self._telling,
                    is_full=lambda: predicting.calls >= options.max_requests,
                ),
                Methods(ModelService(core), model_service_pb2.DESCRIPTOR, telling=self._telling),
            )
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        return server

    def _take_ports(self) -> None:
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._take(f"{host}:{self._port}", self._tls)
        if self._options.grpc_socket_path is not None:
            self._take(f"unix:{os.fspath(self._options.grpc_socket_path)}", None)

    def _take(self, address: str, tls: Tls | None) -> None:
        try:
            if tls is None:
                taken = self._server.add_insecure_port(address)
            else:
                taken = self._server.add_secure_port(address, tls.grpc_credentials())
        except RuntimeError:
            taken = 0
        if not taken:
            raise OSError(f"{address} can't be had for gRPC; choose another")
