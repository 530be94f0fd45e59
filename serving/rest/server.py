"""The HTTP server: uvicorn, with bounds on connections, and an end that loses no request."""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from keras_attn.serving.core import Core
from keras_attn.serving.options import ServerOptions
from keras_attn.serving.process.file_descriptors import most_connections
from keras_attn.serving.process.ports import close_queue, host_of
from keras_attn.serving.process.tls import Tls
from keras_attn.serving.rest.app import HttpApp
from keras_attn.serving.rest.connection import Connections, Deadlines, HttpConnection

ARRIVAL_SECONDS = 1.0
BACKLOG = 128
HANDSHAKE_SECONDS = 0.1  # a round trip to a client, with some to spare
QUIET_SECONDS = 30.0  # between two lines about the same trouble

logger = logging.getLogger(__name__)


class HttpServer:
    """The HTTP port: a thread that answers from `__enter__` to `__exit__`.

    Args:
        core: The models.
        options: Options of the server.
        listener: A bound socket, which is closed at the end.
        shared: Whether other processes accept from the listener, too.
        tls: Key and certificates. Default: plain text.
    """

    def __init__(
        self,
        core: Core,
        options: ServerOptions,
        *,
        listener: socket.socket,
        shared: bool = False,
        tls: Tls | None = None,
    ):
        self._listener = listener
        self._app = HttpApp(core, options)
        self._settled = threading.Event()
        self._uvicorn = _Uvicorn(self._app, options, tls, shared, on_start=self._settled.set)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def __enter__(self) -> "HttpServer":
        self._thread.start()
        self._settled.wait()
        if not self._uvicorn.started:
            self._thread.join()
            self._app.close()
            host, port = host_of(self._listener), self._listener.getsockname()[1]
            raise RuntimeError(f"The server at {host}:{port} did not start; the log says why.")
        return self

    def __exit__(self, *_: object) -> None:
        """Answers what is under way, for up to `drain_seconds`."""
        self.drain()
        self._thread.join()
        self._app.close()
        self._listener.close()

    def drain(self) -> None:
        """Takes no more connections. It does not wait."""
        self._uvicorn.should_exit = True

    @property
    def under_way(self) -> int:
        """How many predictions are being worked on or wait for it."""
        return self._app.under_way

    def _run(self) -> None:
        try:
            self._uvicorn.run(sockets=[self._listener])
        finally:
            self._settled.set()  # also where it could not start


class _Uvicorn(uvicorn.Server):
    """uvicorn, but it waits for the requests of connections that it has accepted."""

    def __init__(
        self,
        app: HttpApp,
        options: ServerOptions,
        tls: Tls | None,
        shared: bool,
        *,
        on_start: Callable[[], None],
    ):
        self._on_start = on_start
        self._app = app
        self._options = options
        self._shared = shared
        self._warned_at = -QUIET_SECONDS
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                http="h11",
                ws="none",
                proxy_headers=False,
                timeout_keep_alive=options.timeout_keep_alive,  # type: ignore[arg-type]
                timeout_graceful_shutdown=max(int(options.drain_seconds), 1),
                ssl_context_factory=None if tls is None else lambda *_: tls.ssl_context(),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens; the sockets were bound before."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_trouble)
        await self.lifespan.startup()
        options = self._options
        connections = Connections(
            most_connections(options.max_connections),
            Deadlines(
                head=options.timeout_head,
                body=options.timeout_body,
                body_rate=options.min_body_rate,
                answer=options.timeout_body,
            ),
        )

        def connect() -> HttpConnection:
            return HttpConnection(
                connections=connections,
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
                _loop=loop,
            )

        self._connect = connect
        self.servers = []
        for listener in sockets or []:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # see `bind`
            self.servers.append(
                await loop.create_server(
                    connect,
                    sock=listener,
                    ssl=self.config.ssl,
                    ssl_handshake_timeout=options.timeout_head if self.config.ssl else None,
                    backlog=BACKLOG,
                )
            )
        self.started = True
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts nothing more, lets what was accepted arrive, and answers it.

        uvicorn alone closes a connection whose request has not arrived yet.
        """
        self._app.draining = True
        if not self._shared:  # a queue is one for all processes, and the others may go on
            for listener in sockets or []:
                close_queue(listener)
        await asyncio.sleep(HANDSHAKE_SECONDS)  # what is queued is accepted
        last = [each for listener in sockets or [] for each in _queued(listener)]
        for server in self.servers:
            server.close()
        for connection in last:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connect,
                connection,
                ssl=self.config.ssl,
                ssl_handshake_timeout=self._options.timeout_head if self.config.ssl else None,
            )
        end = time.monotonic() + ARRIVAL_SECONDS
        await asyncio.sleep(0.05)
        while time.monotonic() < end and any(
            getattr(connection, "cycle", connection) is None
            for connection in self.server_state.connections
        ):
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    def _on_trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A line now and then where no file descriptor is left, not a traceback for each try."""
        error = context.get("exception")
        if not isinstance(error, OSError):
            loop.default_exception_handler(context)
        elif time.monotonic() > self._warned_at + QUIET_SECONDS:
            self._warned_at = time.monotonic()
            logger.error("%s: %s", context.get("message", "a connection failed"), error)


def _queued(listener: socket.socket) -> Iterator[socket.socket]:
    """Accepts what is queued now."""
    with contextlib.suppress(OSError):  # none is left, or no file descriptor
        while True:
            yield listener.accept()[0]
