"""The ASGI application: the REST interface, the metrics and the page."""

import asyncio
import concurrent.futures
import importlib.resources

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from keras_attn.serving import metrics, rest
from keras_attn.serving.core import Core
from keras_attn.serving.errors import HTTP_STATUS, Code
from keras_attn.serving.options import ServerOptions

DRAIN_FACTOR = 4
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
# The page brings its own script and style, and shows pictures that it has made itself.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "img-src 'self' blob: data:; connect-src 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}


class HttpApp:
    """Answers HTTP requests.

    Args:
        core: The models.
        options: The server's.

    Attributes:
        draining: Whether the server ends: clients are told not to send more over a connection.
    """

    def __init__(self, core: Core, options: ServerOptions):
        self._core = core
        self._options = options
        self.draining = False
        self._under_way = 0
        # Threads, so that the event loop goes on while tensors and their JSON are worked on.
        self._threads = concurrent.futures.ThreadPoolExecutor(
            options.request_threads, thread_name_prefix="rest"
        )
        self._page = importlib.resources.files("keras_attn.serving").joinpath("page.html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if self._under_way >= self._options.max_requests:
            message = f"More than {self._options.max_requests} requests are under way"
            reply = rest.error_reply(HTTP_STATUS[Code.RESOURCE_EXHAUSTED], message)
            response = self._json(reply)
        else:
            self._under_way += 1
            try:
                path = rest.origin_form(scope["raw_path"].decode("latin-1"))
                response = await self._answer(request, path)
            except ClientDisconnect:
                return
            finally:
                self._under_way -= 1
        if self.draining:
            response.headers["Connection"] = "close"
        await response(scope, receive, send)

    def close(self) -> None:
        """Ends the threads once they have answered."""
        self._threads.shutdown()

    async def _answer(self, request: Request, path: str) -> Response:
        if request.method == "GET" and path == self._options.prometheus_path:
            return Response(self._core.metrics.page(), media_type=metrics.CONTENT_TYPE)
        if request.method == "GET" and path == "/" and self._options.page:
            return Response(self._page.read_bytes(), media_type="text/html", headers=PAGE_HEADERS)
        if request.method == "GET" and path == "/models" and self._options.page:
            names = [entry.name for entry in self._core.manager.entries]
            return self._json(rest.Reply(200, rest.to_json({"models": names})))
        if request.method == "OPTIONS":
            known = request.headers.get("Origin", "").startswith(("http://", "https://"))
            return self._json(rest.Reply(200 if known else 400, b""))
        body = await self._read(request)
        if body is None:
            message = f"The request's body must have at most {self._options.max_body_bytes} bytes"
            return self._json(rest.error_reply(413, message))
        query = request.url.query
        reply = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: rest.handle(
                self._core, method=request.method, path=path, body=body, query=query
            ),
        )
        return self._json(reply)

    def _json(self, reply: rest.Reply) -> Response:
        headers = CORS if self._options.rest_api_enable_cors_support else None
        return Response(reply.body, reply.status, headers, media_type="application/json")

    async def _read(self, request: Request) -> bytes | None:
        """Returns the body, None where it is too long.

        The rest of one that is too long is read and dropped, because a client that is still
        sending sees a broken connection and not the reply. Past some more bytes that is its lot.
        """
        limit = self._options.max_body_bytes
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > DRAIN_FACTOR * limit:
                return None
            if size > limit:
                chunks.clear()
            else:
                chunks.append(chunk)
        return b"".join(chunks) if size <= limit else None
