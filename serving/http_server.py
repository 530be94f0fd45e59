"""The HTTP server: uvicorn, made to end without losing a request that is on its way."""

import asyncio
import socket
import time

import uvicorn

from keras_attn.serving.http_app import HttpApp
from keras_attn.serving.options import ServerOptions
from keras_attn.serving.tls import Tls

ARRIVAL_SECONDS = 1.0


class HttpServer(uvicorn.Server):
    """uvicorn, but it waits for the requests of connections that it has accepted.

    Args:
        app: What answers.
        options: The server's.
        tls: Default: none.
    """

    def __init__(self, app: HttpApp, options: ServerOptions, tls: Tls | None = None):
        self._app = app
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                http="h11",
                ws="none",
                timeout_graceful_shutdown=max(int(options.drain_seconds), 1),
                ssl_context_factory=None if tls is None else lambda *_: tls.ssl_context(),
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts nothing more, lets what was accepted arrive, and answers it.

        uvicorn alone closes a connection whose request has not arrived yet.
        """
        self._app.draining = True
        for server in self.servers:
            server.close()
        end = time.monotonic() + ARRIVAL_SECONDS
        await asyncio.sleep(0.05)
        while time.monotonic() < end and any(
            getattr(connection, "cycle", connection) is None
            for connection in self.server_state.connections
        ):
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)
