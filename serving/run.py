"""`serve` and `start_server`: a server until a signal comes, or within a Python program."""

import logging
import os
import signal

from keras_attn._checks import check_positive_int
from keras_attn.serving.config import ServerConfig, read_config
from keras_attn.serving.options import ServerOptions
from keras_attn.serving.process.signals import Signals
from keras_attn.serving.process.workers import run_workers
from keras_attn.serving.server import Server

logger = logging.getLogger(__name__)


def serve(
    path: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    model_config_file: str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int | None = 8501,
    grpc_port: int | None = 8500,
    options: ServerOptions | None = None,
    workers: int = 1,
) -> int:
    """Serves models over REST and gRPC until it is interrupted (Ctrl-C) or told to end (SIGTERM).

    It answers what is under way before it returns, for up to `ServerOptions.drain_seconds`.

    Args:
        path: The base folder of a model, which holds `<version>/saved_model.pb`. The highest
            version is served, and a higher one as soon as it is there.
        name: Name of the model for clients, `/v1/models/<name>`. Default: the name of the folder.
        model_config_file: Instead of `path`, a `models.config` as TF Serving reads it: several
            models, their version policies and labels.
        host: The address to listen at. `"0.0.0.0"` is reached from other machines; there is no
            password, and TLS only with `ServerOptions.ssl_config_file`.
        port: The port of REST, of the metrics and of the page; 0 takes a free one. With None they
            are reached from this machine alone, at a free port that the log names.
        grpc_port: The port of gRPC; 0 takes a free one, None has none.
        options: Everything that has a default.
        workers: How many processes serve, each with its own copy of the models. More than one are
            worth it where one Python can't read the JSON fast enough.

    Returns:
        How many requests had not ended by then. Their threads keep a Python process from ending.

    Example:
    ```python
    keras_attn.serving.serve("exports/digits", port=8501, grpc_port=8500)
    ```
    """
    workers = check_positive_int("workers", workers)
    config = read_config(
        path,
        name=name,
        model_config_file=model_config_file,
        host=host,
        port=port,
        grpc_port=grpc_port,
        options=options,
    )
    with Signals(signal.SIGINT, signal.SIGTERM) as signals:
        if workers > 1:
            left = run_workers(config, count=workers, signals=signals)
        else:
            left = _run_here(config, signals)
        logger.info("%s, stopped", signal.Signals(signals.received[0]).name)
        return left


def start_server(
    path: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    model_config_file: str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    grpc_port: int | None = 0,
    options: ServerOptions | None = None,
) -> Server:
    """Serves models from threads of this process, and returns once they answer.

    Args:
        path: The base folder of a model. This and the others are as in `serve`.
        name: Name of the model for clients.
        model_config_file: Instead of `path`.
        host: The address to listen at.
        port: The port of REST; 0 takes a free one.
        grpc_port: The port of gRPC; 0 takes a free one, None has none.
        options: Everything that has a default.

    Example:
    ```python
    with keras_attn.serving.start_server("exports/digits") as server:
        keras_attn.serving.predict(server.model_url, images)
    ```
    """
    config = read_config(
        path,
        name=name,
        model_config_file=model_config_file,
        host=host,
        port=port,
        grpc_port=grpc_port,
        options=options,
    )
    return Server(config).start()


def _run_here(config: ServerConfig, signals: Signals) -> int:
    """Serves from this process until a signal comes, and returns what `Server.stop` does."""
    server = Server(config).start()
    try:
        for model_url in server.model_urls:
            logger.info("serving at %s", model_url)
        if server.grpc_address:
            logger.info("serving gRPC at %s", server.grpc_address)
        signals.wait()
    finally:
        left = server.stop()
    return left
