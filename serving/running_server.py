"""A server in threads of this process."""

import contextlib
import errno
import logging
import os
import socket
import threading
import time
import urllib.parse
from collections.abc import Sequence
from types import TracebackType

from keras_attn.serving.core import Core
from keras_attn.serving.errors import ServingError
from keras_attn.serving.grpc.server import GrpcServer
from keras_attn.serving.lifecycle.manager import ModelManager
from keras_attn.serving.lifecycle.model_config import read_model_config
from keras_attn.serving.lifecycle.version_policy import ModelEntry
from keras_attn.serving.metrics import Metrics
from keras_attn.serving.models.loading import Loader
from keras_attn.serving.options import ServerOptions
from keras_attn.serving.process.memory import MemoryTrimmer
from keras_attn.serving.process.tls import Tls
from keras_attn.serving.rest.app import HttpApp
from keras_attn.serving.rest.server import HttpServer

logger = logging.getLogger(__name__)


class RunningServer:
    """A server in threads of this process; a context manager that stops it.

    Args:
        entries: The models.
        listener: Of REST.
        host: Of gRPC.
        grpc_port: 0 takes a free one, None has none.
        options: All that has a default.
        tls: Default: none.
        model_config_file: That is read again, where the options say so.
        one_of_many: Whether other processes serve at the same ports.

    Attributes:
        url: Of REST, `http://host:port`.
        model_url: Of its first model, `http://host:port/v1/models/name`.
        model_urls: Of all its models.
        grpc_address: `host:port`, None where there is no gRPC.
        manager: Its models.
    """

    def __init__(
        self,
        entries: Sequence[ModelEntry],
        listener: socket.socket,
        *,
        host: str,
        grpc_port: int | None,
        options: ServerOptions,
        tls: Tls | None,
        model_config_file: str | os.PathLike[str] | None,
        one_of_many: bool = False,
    ):
        self.url = _url(listener, "http" if tls is None else "https")
        self.model_urls = [f"{self.url}/v1/models/{urllib.parse.quote(e.name)}" for e in entries]
        self.model_url = self.model_urls[0] if self.model_urls else self.url
        self._listener = listener
        self._options = options
        self._config_file = model_config_file
        self._stopping = threading.Event()
        self._memory = MemoryTrimmer()
        metrics = Metrics()
        self._loader = Loader(options, metrics)
        self.manager = ModelManager(
            self._loader,
            max_load_retries=options.max_num_load_retries,
            load_retry_seconds=options.load_retry_interval_seconds,
            allow_labels_for_unavailable=options.allow_version_labels_for_unavailable_models,
        )
        core = Core(
            manager=self.manager,
            metrics=metrics,
            max_body_bytes=options.max_body_bytes,
            tensor_content=options.enable_serialization_as_tensor_content,
            reload_config=options.reload_config,
            one_of_many=one_of_many,
        )
        self.grpc_address: str | None = None
        self._grpc: GrpcServer | None = None
        # Both ports are taken before the models are loaded, which is slow, and open after it, so
        # that whoever reaches one is answered.
        with contextlib.ExitStack() as reserved:
            if grpc_port and one_of_many:  # its parent holds it for all
                check_port("grpc_port", grpc_port)
            elif grpc_port is not None:
                holder = reserved.enter_context(bind(host, grpc_port, name="grpc_port"))
                grpc_port = holder.getsockname()[1]
            try:
                self.manager.configure(entries)
            except ServingError as error:
                self._unload()
                raise ValueError(_reason(error, entries)) from error
        try:
            if grpc_port is not None:
                self._grpc = GrpcServer(core, options, host=host, port=grpc_port, tls=tls)
                self.grpc_address = f"{_host(listener)}:{grpc_port}"
        except OSError:
            self._unload()
            raise
        self._app = HttpApp(core, options)
        self._http = HttpServer(self._app, options, tls)
        self._thread = threading.Thread(
            target=self._http.run, kwargs={"sockets": [listener]}, name="http", daemon=True
        )
        self._thread.start()
        while not self._http.started:
            if not self._thread.is_alive():
                self._unload()
                raise RuntimeError(f"The server at {self.url} did not start; the log says why.")
            time.sleep(0.01)
        if self._grpc is not None:
            self._grpc.start()
        self._memory.start()
        if options.file_system_poll_wait_seconds:
            self.manager.start_polling(options.file_system_poll_wait_seconds)
        if options.model_config_file_poll_wait_seconds and model_config_file is not None:
            seconds = options.model_config_file_poll_wait_seconds
            threading.Thread(target=self._poll_config, args=[seconds], daemon=True).start()

    def stop(self) -> int:
        """Answers what has been asked, for up to `drain_seconds`, and stops.

        A second call does nothing.

        Returns:
            How many requests had not ended by then. Their threads go on until they do.
        """
        if self._stopping.is_set():
            return 0
        self._stopping.set()
        self._http.should_exit = True
        if self._grpc is not None:
            self._grpc.stop()
        self._thread.join()
        self._app.close()
        self._listener.close()
        left = self._app.under_way + (0 if self._grpc is None else self._grpc.predicting.calls)
        if left:
            logger.error("%d requests had not ended after %g s", left, self._options.drain_seconds)
        self._unload()
        return left

    def __enter__(self) -> "RunningServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _unload(self) -> None:
        if self._loader.scheduler is not None:
            self._loader.scheduler.stop()
        self.manager.stop()
        self._memory.stop()

    def _poll_config(self, seconds: float) -> None:
        while not self._stopping.wait(seconds):
            try:
                self.manager.configure(read_model_config(self._config_file))  # type: ignore[arg-type]
            except (ValueError, OSError) as error:
                logger.error("Failed to read ModelServerConfig file: %s", error)
            except ServingError as error:
                logger.error("the new configuration is not taken whole: %s", error.message)


def check_port(name: str, port: int) -> None:
    """Raises ValueError unless `port` is one, or 0."""
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
        raise ValueError(f"`{name}` must be an integer from 0 to 65535. Received: {name}={port!r}")


def bind(host: str, port: int, *, name: str = "port") -> socket.socket:
    """Returns a socket that has taken a port, and does not listen yet.

    Until it does, it shares its port with nobody, although lingering connections of a server that
    has ended don't keep it from having it. Whoever listens sets SO_REUSEADDR again, which the
    connections of its own inherit.
    """
    check_port(name, port)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family)
    try:
        if family == socket.AF_INET6 and socket.has_dualstack_ipv6():
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # as gRPC does
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        taken.close()
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"can't be had: {error}"
        raise OSError(error.errno, f"port {port} at {host} {reason}; choose another") from error
    return taken


def _reason(error: ServingError, entries: Sequence[ModelEntry]) -> str:
    """The reason why there is nothing to serve, as an error of the caller's arguments."""
    if any(entry.labels for entry in entries) and "assign label" in error.message:
        return (
            f"{error.message}; at the start no version is, so that labels need "
            "`allow_version_labels_for_unavailable_models=True`"
        )
    return error.message


def _host(listener: socket.socket) -> str:
    host = listener.getsockname()[0]
    return f"[{host}]" if ":" in host else host


def _url(listener: socket.socket, scheme: str) -> str:
    return f"{scheme}://{_host(listener)}:{listener.getsockname()[1]}"
