"""A local server that speaks the wire contract of TF Serving, for laptops, CI and the edge."""

import logging
import os
import pathlib
import signal
import time

from keras_attn.serving.errors import ServingError
from keras_attn.serving.lifecycle.model_config import local_path, read_model_config
from keras_attn.serving.lifecycle.version_policy import ModelEntry
from keras_attn.serving.models.served_model import check_name
from keras_attn.serving.options import ServerOptions
from keras_attn.serving.process.signals import Signals
from keras_attn.serving.process.tls import Tls, read_tls
from keras_attn.serving.process.workers import Job, run_workers
from keras_attn.serving.running_server import RunningServer, bind

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
        name: What clients call the model, `/v1/models/<name>`. Default: the name of the folder.
        model_config_file: Instead of `path`, a `models.config` as TF Serving reads it: several
            models, their version policies and labels.
        host: The address to listen at. `"0.0.0.0"` is reached from other machines; there is no
            password, and TLS only with `ServerOptions.ssl_config_file`.
        port: The port of REST, of the metrics and of the page; 0 takes a free one. With None they
            are reached from this machine alone, at a free port that the log names.
        grpc_port: The port of gRPC; 0 takes a free one, None has none.
        options: All that has a default.
        workers: How many processes serve, each with its own copy of the models. More than one are
            worth it where one Python can't read the JSON fast enough.

    Returns:
        How many requests had not ended by then. Their threads keep a Python process from ending.

    Example:
    ```python
    keras_attn.serving.serve("exports/digits", port=8501, grpc_port=8500)
    ```
    """
    entries, options, tls = _settle(path, name, model_config_file, options)
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise ValueError(f"`workers` must be a positive integer. Received: workers={workers!r}")
    with (
        bind(*(("127.0.0.1", 0) if port is None else (host, port))) as listener,
        Signals(signal.SIGINT, signal.SIGTERM) as signals,
    ):
        if workers > 1:
            job = Job(
                entries=entries,
                host=host,
                grpc_port=grpc_port,
                options=options,
                tls=tls,
                model_config_file=model_config_file,
                log_level=logging.getLogger().getEffectiveLevel(),
            )
            left = run_workers(job, listener, count=workers, signals=signals)
        else:
            server = RunningServer(
                entries,
                listener,
                host=host,
                grpc_port=grpc_port,
                options=options,
                tls=tls,
                model_config_file=model_config_file,
            )
            try:
                for model_url in server.model_urls:
                    logger.info("serving at %s", model_url)
                if server.grpc_address:
                    logger.info("serving gRPC at %s", server.grpc_address)
                while not signals.received:
                    time.sleep(0.2)  # a signal cuts it short
            finally:
                left = server.stop()
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
) -> RunningServer:
    """Serves models from threads of this process, and returns once they answer.

    Args:
        path: As in `serve`, and so are the others.
        name: What clients call the model.
        model_config_file: Instead of `path`.
        host: The address to listen at.
        port: The port of REST; 0 takes a free one.
        grpc_port: The port of gRPC; 0 takes a free one, None has none.
        options: All that has a default.

    Example:
    ```python
    with keras_attn.serving.start_server("exports/digits") as server:
        keras_attn.serving.predict(server.model_url, images)
    ```
    """
    entries, options, tls = _settle(path, name, model_config_file, options)
    listener = bind(host, port)
    try:
        return RunningServer(
            entries,
            listener,
            host=host,
            grpc_port=grpc_port,
            options=options,
            tls=tls,
            model_config_file=model_config_file,
        )
    except BaseException:
        listener.close()
        raise


def _settle(
    path: str | os.PathLike[str] | None,
    name: str | None,
    model_config_file: str | os.PathLike[str] | None,
    options: ServerOptions | None,
) -> tuple[list[ModelEntry], ServerOptions, Tls | None]:
    """Reads and checks what a server is told, before it takes a port."""
    options = options or ServerOptions()
    if (path is None) == (model_config_file is None):
        raise ValueError(
            "Exactly one of `path` and `model_config_file` must be given. "
            f"Received: path={path!r}, model_config_file={model_config_file!r}"
        )
    if path is not None:
        entries = [_single_entry(path, name)]
    else:
        entries = read_model_config(model_config_file)  # type: ignore[arg-type]
    tls = None if options.ssl_config_file is None else read_tls(options.ssl_config_file)
    return entries, options, tls


def _single_entry(path: str | os.PathLike[str], name: str | None) -> ModelEntry:
    try:
        base = pathlib.Path(local_path(os.fspath(path))).resolve()
    except ServingError as error:
        raise ValueError(f"`path` must be a local folder. Received: {error.message}") from None
    entry = ModelEntry(name=check_name(base.name if name is None else name), base_path=base)
    if not entry.find():
        hint = ""
        if not base.is_dir():
            hint = ", which is no folder"
        elif (base / "saved_model.pb").exists():
            hint = ", a version folder itself: give its parent"
        raise ValueError(
            "`path` must be the base folder of a model, with a numbered version folder in it. "
            f"Received: {str(base)!r}{hint}"
        )
    return entry
