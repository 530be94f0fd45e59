"""A server of threads of this process: parts that start in order, and stop in reverse order."""

import contextlib
import logging
import socket
import urllib.parse
from collections.abc import Sequence

from keras_attn.serving.config import ServerConfig
from keras_attn.serving.core import Core
from keras_attn.serving.errors import ServingError
from keras_attn.serving.grpc.server import GrpcServer
from keras_attn.serving.lifecycle.loading import Loader
from keras_attn.serving.lifecycle.manager import ModelManager
from keras_attn.serving.lifecycle.model_config import read_model_config
from keras_attn.serving.lifecycle.poller import Poller
from keras_attn.serving.lifecycle.version_policy import ModelEntry
from keras_attn.serving.metrics import Metrics
from keras_attn.serving.process.memory import MemoryTrimmer
from keras_attn.serving.process.ports import bind, host_of
from keras_attn.serving.rest.server import HttpServer

logger = logging.getLogger(__name__)


class Server:
    """A server in threads of this process; a context manager that starts and stops it.

    It opens no port, starts no thread and loads no model before `start`. After `stop` it may be
    started again.

    Args:
        config: All that the server is told.
        shared: The bound socket of REST, where other processes serve at the same ports. Whoever
            gives it holds `config.grpc_port` for all of them, too. Default: the server takes its
            ports itself, and is alone there.

    Attributes:
        url: Address of REST, `http://host:port`. This and the others are there once it is started.
        model_url: Address of its first model, `http://host:port/v1/models/name`.
        model_urls: Addresses of all its models.
        grpc_address: `host:port`, None where there is no gRPC.
        manager: The models.
    """

    url: str
    model_url: str
    model_urls: list[str]
    grpc_address: str | None
    manager: ModelManager

    def __init__(self, config: ServerConfig, *, shared: socket.socket | None = None):
        self._config = config
        self._shared = shared
        self._stack: contextlib.ExitStack | None = None
        self._left = 0

    def start(self) -> "Server":
        """Loads the models, and returns itself once both ports answer.

        Where a part can't be started, those that were started before it are stopped.
        """
        if self._stack is not None:
            raise RuntimeError("`start` must be called once before `stop`: the server is running.")
        with contextlib.ExitStack() as stack:
            self._start_parts(stack)
            self._stack = stack.pop_all()
        return self

    def stop(self) -> int:
        """Answers what has been asked, for up to `drain_seconds`, and stops.

        A second call does nothing.

        Returns:
            How many requests had not ended by then. Their threads go on until they do.
        """
        stack, self._stack = self._stack, None
        if stack is None:
            return 0
        stack.close()
        return self._left

    def __enter__(self) -> "Server":
        return self if self._stack is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_parts(self, stack: contextlib.ExitStack) -> None:
        """Starts part after part. Read upwards, it is how they stop."""
        config, options = self._config, self._config.options
        metrics = Metrics()
        loader = Loader(options, metrics)
        self.manager = ModelManager(
            loader,
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
            one_of_many=self._shared is not None,
        )
        listener = self._shared or stack.enter_context(bind(*config.rest_address))
        stack.enter_context(MemoryTrimmer())
        stack.enter_context(self.manager)
        stack.enter_context(loader)
        grpc_port = self._load_models()
        pollers = [stack.enter_context(poller) for poller in self._pollers()]
        ports: list[HttpServer | GrpcServer] = [
            HttpServer(
                core,
                options,
                listener=listener,
                shared=self._shared is not None,
                tls=config.tls,
            )
        ]
        if grpc_port is not None:
            ports.append(
                GrpcServer(core, options, host=config.host, port=grpc_port, tls=config.tls)
            )
        stack.callback(self._count_what_is_left, ports)
        for port in ports:
            stack.enter_context(port)
        # A stop begins with these: all take nothing more before any of them is waited for.
        for part in (*pollers, *reversed(ports)):
            stack.callback(part.drain)
        self._tell_addresses(listener, grpc_port)

    def _load_models(self) -> int | None:
        """Loads the models, and returns the port of gRPC.

        Both ports are taken before the models are loaded, which is slow, and open after it, so
        that whoever reaches one is answered.
        """
        config, port = self._config, self._config.grpc_port
        with contextlib.ExitStack() as reserved:
            if port is not None and self._shared is None:
                port = reserved.enter_context(bind(config.host, port)).getsockname()[1]
            try:
                self.manager.configure(config.models)
            except ServingError as error:
                raise ValueError(_reason(error, config.models)) from error
        return port

    def _pollers(self) -> list[Poller]:
        config, options = self._config, self._config.options
        pollers = []
        if seconds := options.file_system_poll_wait_seconds:
            pollers.append(Poller("version-poller", seconds, self.manager.poll))
        seconds = options.model_config_file_poll_wait_seconds
        if seconds and config.model_config_file is not None:
            pollers.append(Poller("config-poller", seconds, self._read_config_again))
        return pollers

    def _read_config_again(self) -> None:
        try:
            self.manager.configure(read_model_config(self._config.model_config_file))  # type: ignore[arg-type]
        except (ValueError, OSError) as error:
            logger.error("Failed to read ModelServerConfig file: %s", error)
        except ServingError as error:
            logger.error("the new configuration is not taken whole: %s", error.message)

    def _count_what_is_left(self, ports: Sequence[HttpServer | GrpcServer]) -> None:
        self._left = sum(port.under_way for port in ports)
        if self._left:
            seconds = self._config.options.drain_seconds
            logger.error("%d requests had not ended after %g s", self._left, seconds)

    def _tell_addresses(self, listener: socket.socket, grpc_port: int | None) -> None:
        host, port = host_of(listener), listener.getsockname()[1]
        self.url = f"{'http' if self._config.tls is None else 'https'}://{host}:{port}"
        names = [urllib.parse.quote(model.name) for model in self._config.models]
        self.model_urls = [f"{self.url}/v1/models/{name}" for name in names]
        self.model_url = self.model_urls[0] if self.model_urls else self.url
        self.grpc_address = None if grpc_port is None else f"{host}:{grpc_port}"


def _reason(error: ServingError, models: Sequence[ModelEntry]) -> str:
    """The reason why there is nothing to serve, as an error of the caller's arguments."""
    if any(model.labels for model in models) and "assign label" in error.message:
        return (
            f"{error.message}; at the start no version is, so that labels need "
            "`allow_version_labels_for_unavailable_models=True`"
        )
    return error.message
