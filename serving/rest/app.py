"""The ASGI application: the REST interface, the metrics and the page."""

import asyncio
import concurrent.futures
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from keras_attn.serving import metrics
from keras_attn.serving.core import Core
from keras_attn.serving.errors import HTTP_STATUS, Code
from keras_attn.serving.options import ServerOptions
from keras_attn.serving.rest import routes
from keras_attn.serving.rest.content_encoding import BrokenBodyError, Decoder, UnknownEncodingError
from keras_attn.serving.rest.page.routes import Page

T = TypeVar("T")

DRAIN_FACTOR = 4
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}


class RefusedError(Exception):
    """A request that is answered before its body is whole."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.reply = routes.error_reply(status, message)


class HttpApp:
    """Answers HTTP requests.

    A prediction counts against `max_requests` once its body is there. Health, status, metrics and
    the page have threads of their own, so that they answer under any load.

    Args:
        core: The models.
        options: Options of the server.

    Attributes:
        draining: Whether the server ends: clients are told not to send more over a connection.
        under_way: How many predictions are being worked on or wait for it.
    """

    def __init__(self, core: Core, options: ServerOptions):
        self._core = core
        self._options = options
        self.draining = False
        self.under_way = 0
        self._arriving = 0  # bytes of bodies that are not whole yet
        # Threads, so that the event loop goes on while tensors and their JSON are worked on.
        self._predicting = concurrent.futures.ThreadPoolExecutor(
            options.request_threads, thread_name_prefix="rest"
        )
        self._telling = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="rest-status")
        self._page = Page(core) if options.page else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            path = routes.origin_form(scope["raw_path"].decode("latin-1"))
            response = await self._answer(request, path)
        except RefusedError as refused:
            response = self._json(refused.reply)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:  # uvicorn's, at the end of the time for draining
            message = "The server has stopped, and the request took too long for it to wait"
            response = self._json(routes.error_reply(HTTP_STATUS[Code.UNAVAILABLE], message))
        if self.draining:
            response.headers["Connection"] = "close"
        await response(scope, receive, send)

    def close(self) -> None:
        """Lets the threads end; one that does not is not waited for."""
        self._predicting.shutdown(wait=False, cancel_futures=True)
        self._telling.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, request: Request, path: str) -> Response:
        if request.method == "GET" and path == self._options.prometheus_path:
            page = await self._in(self._telling, self._core.metrics.page)
            return Response(page, media_type=metrics.CONTENT_TYPE)
        if request.method == "GET" and self._page is not None and self._page.has(path):
            return await self._in(self._telling, functools.partial(self._page.answer, path))
        if request.method == "OPTIONS":
            known = request.headers.get("Origin", "").startswith(("http://", "https://"))
            return self._json(routes.Reply(200 if known else 400, b""))
        body = await self._read(request)

        query = request.url.query

        def handle() -> routes.Reply:
            return routes.handle(
                self._core, method=request.method, path=path, body=body, query=query
            )

        if request.method != "POST":
            return self._json(await self._in(self._telling, handle))
        if self.under_way >= self._options.max_requests:
            message = f"More than {self._options.max_requests} requests are under way"
            raise RefusedError(HTTP_STATUS[Code.RESOURCE_EXHAUSTED], message)
        self.under_way += 1
        answer = self._in(self._predicting, handle)
        answer.add_done_callback(self._one_less)  # also where nobody waits for it any more
        seconds = self._options.rest_api_timeout_in_ms / 1e3
        try:
            return self._json(await asyncio.wait_for(asyncio.shield(answer), seconds or None))
        except TimeoutError:
            message = f"The request took longer than {seconds:g} s"
            raise RefusedError(HTTP_STATUS[Code.DEADLINE_EXCEEDED], message) from None

    def _in(
        self, threads: concurrent.futures.Executor, function: Callable[[], T]
    ) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(threads, function)

    def _one_less(self, answer: asyncio.Future[Any]) -> None:
        self.under_way -= 1
        if not answer.cancelled():
            answer.exception()  # it was awaited, or its request has timed out

    def _json(self, reply: routes.Reply) -> Response:
        headers = CORS if self._options.rest_api_enable_cors_support else None
        return Response(reply.body, reply.status, headers, media_type="application/json")

    async def _read(self, request: Request) -> bytes:
        """Returns the body, decompressed; raises RefusedError where it is too long.

        The rest of one that is refused is read and dropped, because a client that is still sending
        sees a broken connection and not the reply. Past some more bytes that is its lot.
        """
        limit = self._options.max_body_bytes
        refusal = None
        try:
            decoder = Decoder(request.headers.get("Content-Encoding", ""))
        except UnknownEncodingError as error:
            decoder = Decoder("")
            refusal = RefusedError(
                415, f"Content-Encoding must be gzip or deflate. Received: {error}"
            )
        chunks: list[bytes] = []
        size = read = 0
        try:
            async for chunk in request.stream():
                read += len(chunk)
                if read > DRAIN_FACTOR * limit:
                    break
                if refusal is None:
                    try:
                        piece = decoder.decode(chunk, limit - size)
                    except BrokenBodyError as error:
                        refusal = _not_encoded(error)
                        continue
                    size += len(piece)
                    self._arriving += len(piece)
                    chunks.append(piece)
                    if size > limit:
                        message = f"The request's body must have at most {limit} bytes"
                        refusal = RefusedError(413, message)
                    elif self._arriving > self._options.max_arriving_bytes:
                        message = "Too much of other requests' bodies is on its way"
                        refusal = RefusedError(HTTP_STATUS[Code.RESOURCE_EXHAUSTED], message)
                    if refusal is not None:
                        chunks.clear()
        finally:
            self._arriving -= size
        if refusal is None:
            try:
                decoder.check_end()
            except BrokenBodyError as error:
                refusal = _not_encoded(error)
        if refusal is not None:
            raise refusal
        return b"".join(chunks)


def _not_encoded(error: BrokenBodyError) -> RefusedError:
    return RefusedError(400, f"The request's body is not what its Content-Encoding says: {error}")
