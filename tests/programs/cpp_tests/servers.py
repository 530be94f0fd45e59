"""Our server behind the calls that TF Serving's tests make of theirs."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.parse
from collections.abc import Callable
from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis import prediction_service_pb2_grpc

from .messages import Proto, Status

# What the messages of HTTP itself bring along.
HTTP_HEADERS = {"date", "server", "content-length", "connection", "transfer-encoding"}
CODES = {400: tf.errors.INVALID_ARGUMENT, 404: tf.errors.NOT_FOUND}


class Handle:
    """A model within their server: here whoever has one asks the server."""

    meta_graph_def = None
    session: Core

    def Infer(self, _, request: Proto, response: Proto) -> Status:
        return infer(self.session, request, response)


class Core:
    """A server that `start_server` returned, under both protocols."""

    servable_version_ = 123

    def __init__(self, running: Any):
        self.kPathRegex = self
        self._http = urllib.parse.urlsplit(running.url).netloc
        self.channel = grpc.insecure_channel(running.grpc_address)

    def get(self) -> Core:
        return self

    def ask(self, method: str, path: str, body: str) -> tuple[int, list[list[str]], str]:
        connection = http.client.HTTPConnection(self._http, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body.encode())
            reply = connection.getresponse()
            headers = [[name, value] for name, value in reply.getheaders()]
            return reply.status, headers, reply.read().decode()

    def ProcessRequest(self, method, path, body, headers, name, verb, output) -> Status:
        code, sent, text = self.ask(method, path, body)
        headers.set([one for one in sent if one[0].lower() not in HTTP_HEADERS])
        output.set(text)
        return Status() if code == 200 else Status(CODES[code], json.loads(text)["error"])

    def GetServableHandle(self, handle: Handle) -> Status:
        handle.session = self
        return Status()

    GetInferenceRunner = GetServableHandle

    def is_asked(self, path: str) -> bool:
        return self.ask("GET", path, "")[0] != 404


def same_headers(expected: list[list[str]]) -> Callable[[list[list[str]]], str]:
    def differs(received: list[list[str]]) -> str:
        one, other = (
            sorted((name.lower(), value) for name, value in headers)
            for headers in (received, expected)
        )
        return "" if one == other else f"{one} is not {other}"

    return differs


def over_grpc(service: Any, method: str) -> Callable[..., Status]:
    def call(*arguments: Any) -> Status:
        core = next(one for one in arguments if isinstance(one, Core))
        request, response = arguments[-2:]
        try:
            answer = getattr(service(core.channel), method)(request.wrapped, timeout=60)
        except grpc.RpcError as error:
            return Status(error.code().value[0], error.details())
        response.wrapped.CopyFrom(answer)
        return Status()

    return call


infer = over_grpc(prediction_service_pb2_grpc.PredictionServiceStub, "MultiInference")
