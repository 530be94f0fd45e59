"""A local server that speaks the wire contract of TF Serving, for laptops, CI and demos."""

import errno
import logging
import os
import socket
import threading
import time
import urllib.parse
from collections.abc import Mapping
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from keras_attn.serving import rest
from keras_attn.serving.models import ServedModel

MAX_BODY_BYTES = 64 * 2**20  # 8 images of 224x224x3 are 25 MB of JSON
DRAIN_FACTOR = 4

logger = logging.getLogger(__name__)


def serve(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8501,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> None:
    """Serves the highest version of a model until it is interrupted (Ctrl-C).

    Args:
        path: The base folder of a model, which holds `<version>/saved_model.pb`.
        name: What clients call the model, `/v1/models/<name>`. Default: the name of the folder.
        host: The address to listen at. `"0.0.0.0"` is reached from other machines; there is
            neither TLS nor a password.
        port: The port to listen at; 0 takes a free one.
        max_body_bytes: A longer request is refused with 413.

    Example:
    ```python
    keras_attn.serving.serve("exports/digits", port=8501)
    ```
    """
    with _listen(host, port) as listener:
        model = ServedModel(path, name=name)
        server = _server(model, max_body_bytes)
        logger.info("serving version %d at %s", model.version, _model_url(_url(listener), model))
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            logger.info("interrupted, stopped")


def start_server(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> "RunningServer":
    """Serves the highest version of a model from a thread, and returns once it answers.

    Args:
        path: As in `serve`, and so are the others.
        name: What clients call the model.
        host: The address to listen at.
        port: The port to listen at; 0 takes a free one.
        max_body_bytes: A longer request is refused with 413.

    Example:
    ```python
    with keras_attn.serving.start_server("exports/digits") as server:
        keras_attn.serving.predict(server.model_url, images)
    ```
    """
    listener = _listen(host, port)
    try:
        model = ServedModel(path, name=name)
        return RunningServer(model, listener, max_body_bytes=max_body_bytes)
    except BaseException:
        listener.close()
        raise


class RunningServer:
    """A server in a thread of this process; a context manager that stops it.

    Attributes:
        url: Of the server, `http://host:port`.
        model_url: Of its model, `http://host:port/v1/models/name`.
    """

    def __init__(self, model: ServedModel, listener: socket.socket, *, max_body_bytes: int):
        self.url = _url(listener)
        self.model_url = _model_url(self.url, model)
        self._listener = listener
        self._server = _server(model, max_body_bytes)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError(f"The server at {self.url} did not start; the log says why.")
            time.sleep(0.01)

    def stop(self) -> None:
        """Answers what has been asked, and stops. A second call does nothing."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def __enter__(self) -> "RunningServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class RestApp:
    """The ASGI application of the REST interface.

    Args:
        models: The served models by their names.
        max_body_bytes: A longer request is refused with 413.
    """

    def __init__(self, models: Mapping[str, ServedModel], *, max_body_bytes: int = MAX_BODY_BYTES):
        if not isinstance(max_body_bytes, int) or max_body_bytes < 1:
            raise ValueError(
                "`max_body_bytes` must be a positive integer. "
                f"Received: max_body_bytes={max_body_bytes!r}"
            )
        self.models = models
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        request = Request(scope, receive)
        try:
            body = await self._read(request)
        except ClientDisconnect:
            return
        if body is None:
            message = f"The request's body must have at most {self.max_body_bytes} bytes"
            reply = rest.error_reply(413, message)
        else:
            # A thread, so that the event loop goes on while tensors and their JSON are worked on.
            reply = await run_in_threadpool(
                rest.handle,
                self.models,
                method=request.method,
                path=scope["raw_path"].decode("latin-1"),
                body=body,
            )
        response = Response(reply.body, reply.status, media_type="application/json")
        await response(scope, receive, send)

    async def _read(self, request: Request) -> bytes | None:
        """Returns the body, None where it is too long.

        The rest of one that is too long is read and dropped, because a client that is still
        sending sees a broken connection and not the reply. Past some more bytes that is its lot.
        """
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > DRAIN_FACTOR * self.max_body_bytes:
                return None
            if size > self.max_body_bytes:
                chunks.clear()
            else:
                chunks.append(chunk)
        return b"".join(chunks) if size <= self.max_body_bytes else None


def _server(model: ServedModel, max_body_bytes: int) -> uvicorn.Server:
    rest_app = RestApp({model.name: model}, max_body_bytes=max_body_bytes)
    app = Starlette(routes=[Mount("/", app=rest_app)])
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=10
    )
    return uvicorn.Server(config)


def _listen(host: str, port: int) -> socket.socket:
    """Returns a listening socket: taken before the model is loaded, which is slow."""
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
        raise ValueError(f"`port` must be an integer from 0 to 65535. Received: port={port!r}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"can't be had: {error}"
        raise OSError(error.errno, f"port {port} at {host} {reason}; choose another") from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _model_url(url: str, model: ServedModel) -> str:
    return f"{url}/v1/models/{urllib.parse.quote(model.name)}"
