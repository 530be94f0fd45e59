"""What a stranger at the ports can take of time, connections and memory."""

from __future__ import annotations

import concurrent.futures
import gzip
import http.client
import io
import json
import logging
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib

import grpc
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from helpers import serving_models
from keras_attn.serving import ServerOptions, start_server
from keras_attn.serving.process import memory
from keras_attn.serving.process.file_descriptors import most_connections
from keras_attn.serving.rest.server import HttpServer

HEAD = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


class Slow(tf.Module):
    """A model that takes as many seconds as it is told."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="seconds")])
    def wait(self, seconds):
        def sleep(value):
            time.sleep(float(value[0]))
            return value

        waited = tf.numpy_function(sleep, [seconds], tf.float32)
        return {"waited": tf.ensure_shape(waited, (None,))}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits") / "m"
    images = serving_models.Images()
    names = ("serving_default", "serve_uint8", "serve_bytes")
    signatures = {name: getattr(images, name) for name in names}
    tf.saved_model.save(images, str(folder / "1"), signatures=signatures)
    return folder


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits") / "m"
    module = Slow()
    tf.saved_model.save(module, str(folder / "1"), signatures={"serving_default": module.wait})
    return folder


def connect(server):
    host, port = server.url.removeprefix("http://").rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)), timeout=10)


def ask(server, body=b'{"instances": [0.0]}', headers=(), path=":predict"):
    request = urllib.request.Request(server.model_url + path, body, dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def closed_after(connection):
    """Seconds until the server closes, and what it said."""
    start = time.monotonic()
    said = b""
    while data := connection.recv(4096):
        said += data
    return time.monotonic() - start, said


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", b""), (b"POST /v1", b"408"), (HEAD + b"{", b"408"), (HEAD[:-2], b"408")],
)
def test_who_does_not_go_on_is_closed(base, sent, status):
    options = ServerOptions(timeout_head=0.4, timeout_body=0.4)
    with start_server(base, options=options) as server, connect(server) as connection:
        connection.sendall(sent)
        seconds, said = closed_after(connection)
        assert 0.3 < seconds < 5
        assert said[9:12] == status


def test_a_body_may_take_its_time_as_long_as_it_comes(slow):
    options = ServerOptions(timeout_body=0.2, min_body_rate=10)
    with start_server(slow, options=options) as server, connect(server) as connection:
        body = b'{"instances": [0.0]}'
        connection.sendall(HEAD.replace(b"10", b"%d" % len(body)))
        for byte in body:
            connection.sendall(bytes([byte]))
            time.sleep(0.03)
        assert connection.recv(12) == b"HTTP/1.1 200"
    options = ServerOptions(timeout_body=0.2, min_body_rate=1000)
    with start_server(slow, options=options) as server, connect(server) as connection:
        connection.sendall(HEAD + b"{")
        seconds, said = closed_after(connection)
        assert seconds < 5
        assert said.startswith(b"HTTP/1.1 408")


def test_an_idle_connection_stays_as_long_as_it_may(slow):
    assert ServerOptions().timeout_keep_alive == 75
    with start_server(slow, options=ServerOptions(timeout_keep_alive=1.0)) as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
        for _ in range(3):
            connection.request("GET", "/v1/models/m")
            reply = connection.getresponse()
            assert (reply.status, reply.read()[:1]) == (200, b"{")
            kept = connection.sock
            time.sleep(0.4)
        assert closed_after(kept)[0] < 5
        assert connection.sock is kept  # it was one connection all the time
        connection.close()


def test_silent_connections_shut_nobody_out(slow):
    """Four may be open; of forty that say nothing, or half of something, the oldest go."""
    options = ServerOptions(max_connections=4, max_requests=4)
    with start_server(slow, options=options) as server:
        silent = []
        for index in range(40):
            silent.append(connect(server))
            silent[-1].sendall((b"", b"POST", HEAD + b"{")[index % 3])
        assert ask(server)[0] == 200
        assert ask(server, None, path="")[0] == 200
        for connection in silent:
            connection.close()


def test_bodies_on_their_way_are_bounded(slow):
    options = ServerOptions(max_arriving_bytes=1000)
    with start_server(slow, options=options) as server, connect(server) as connection:
        connection.sendall(HEAD.replace(b"10", b"5000") + b"x" * 990)
        time.sleep(0.3)
        status, text = ask(server)
        assert status == 429
        assert b"Too much of other requests' bodies is on its way" in text
        connection.close()
        time.sleep(0.3)
        assert ask(server)[0] == 200


def predict(stub, seconds):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["seconds"].CopyFrom(tf.make_tensor_proto([seconds], tf.float32))
    return stub.Predict(request, timeout=30).outputs["waited"].float_val[0]


def test_health_status_and_metrics_answer_under_overload(slow):
    options = ServerOptions(max_requests=2, request_threads=1)
    body = b'{"instances": [1.5]}'
    with (
        start_server(slow, options=options) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        busy = [pool.submit(ask, server, body) for _ in range(2)]
        busy_grpc = [pool.submit(predict, stub, 1.5) for _ in range(2)]
        time.sleep(0.5)
        start = time.monotonic()
        assert ask(server)[0] == 429
        with pytest.raises(grpc.RpcError) as refused:
            predict(stub, 0.0)
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert ask(server, None, path="")[0] == 200
        assert ask(server, None, path="/metadata")[0] == 200
        with urllib.request.urlopen(f"{server.url}/monitoring/prometheus/metrics") as reply:
            assert reply.status == 200
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=5).status == 1
        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = "m"
        model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status, timeout=5)
        assert time.monotonic() - start < 1.0  # none waited for the predictions
        assert [future.result()[0] for future in busy] == [200, 200]
        assert [future.result() for future in busy_grpc] == [1.5, 1.5]
        assert ask(server)[0] == 200
        assert predict(stub, 0.0) == 0.0


def test_a_request_has_a_time_limit(slow):
    with start_server(slow, options=ServerOptions(rest_api_timeout_in_ms=300)) as server:
        assert ask(server, b'{"instances": [1.0]}') == (
            504,
            b'{"error": "The request took longer than 0.3 s"}',
        )
        assert ask(server)[0] == 200


def test_a_stop_keeps_its_bound_whatever_a_request_does(slow, caplog, monkeypatch):
    ports, enter = [], HttpServer.__enter__
    monkeypatch.setattr(HttpServer, "__enter__", lambda port: ports.append(port) or enter(port))
    server = start_server(slow, options=ServerOptions(drain_seconds=1))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, server, b'{"instances": [4.0]}')
        while not ports[0].under_way:
            assert not asked.done()
            time.sleep(0.01)
        start = time.monotonic()
        assert server.stop() == 1
        assert time.monotonic() - start < 3
        assert "1 requests had not ended after 1 s" in caplog.text
        assert "Traceback" not in caplog.text
        assert asked.result()[0] == 503


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("GZIP", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),
        ("identity", bytes),
    ],
)
def test_compressed_bodies(slow, encoding, encode):
    with start_server(slow) as server:
        body = encode(b'{"instances": [0.0, 0.25]}')
        status, reply = ask(server, body, {"Content-Encoding": encoding})
        assert (status, json.loads(reply)) == (200, {"predictions": [0.0, 0.25]})


@pytest.mark.parametrize(
    ("encoding", "body", "status", "error"),
    [
        ("br", b"x", 415, "must be gzip or deflate"),
        ("gzip, gzip", b"x", 415, "must be gzip or deflate"),
        ("gzip", b"no gzip", 400, "is not what its Content-Encoding says"),
        ("gzip", gzip.compress(b'{"instances": [1]}', mtime=0)[:-9], 400, "it ends too early"),
        ("gzip", gzip.compress(bytes(50_000_000), mtime=0), 413, "at most 100000 bytes"),
        ("deflate", zlib.compress(bytes(50_000_000)), 413, "at most 100000 bytes"),
    ],
)
def test_wrong_and_hostile_encodings(slow, encoding, body, status, error):
    with start_server(slow, options=ServerOptions(max_body_bytes=100_000)) as server:
        got, reply = ask(server, body, {"Content-Encoding": encoding})
        assert got == status
        assert error in json.loads(reply)["error"]


def test_offers_to_upgrade_are_no_news(slow, caplog):
    with caplog.at_level(logging.INFO), start_server(slow) as server:
        headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"}
        assert ask(server, headers=headers)[0] == 200
    assert "upgrade" not in caplog.text.lower()
    assert "WebSocket" not in caplog.text


def test_a_unix_socket_and_channel_arguments(slow, tmp_path):
    path = tmp_path / "grpc.sock"
    options = ServerOptions(
        grpc_socket_path=path, grpc_channel_arguments="grpc.max_connection_age_ms=60000"
    )
    with (
        start_server(slow, options=options) as server,
        grpc.insecure_channel(f"unix:{path}") as channel,
        grpc.insecure_channel(server.grpc_address) as by_port,
    ):
        for each in (channel, by_port):
            stub = prediction_service_pb2_grpc.PredictionServiceStub(each)
            assert predict(stub, 0.0) == 0.0
    with pytest.raises(ValueError, match="`grpc_channel_arguments` must be name=value"):
        ServerOptions(grpc_channel_arguments="a=1,b")


def test_both_families_at_both_ports(slow):
    with start_server(slow, host="::") as server:
        port = int(server.url.rsplit(":", 1)[1])
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()
            grpc_port = int(server.grpc_address.rsplit(":", 1)[1])
            socket.create_connection((host, grpc_port), timeout=5).close()


def test_ports_open_when_the_models_are_there(slow, monkeypatch):
    """A probe that only connects must not pass while a model loads."""
    from keras_attn.serving.lifecycle import loading

    seen = []
    load = loading.Loader.__call__

    def slowly(self, *arguments, **named):
        for port in ports:
            with socket.socket() as probe:
                seen.append(probe.connect_ex(("127.0.0.1", port)))
        return load(self, *arguments, **named)

    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        ports = [a.getsockname()[1], b.getsockname()[1]]
    monkeypatch.setattr(loading.Loader, "__call__", slowly)
    with start_server(slow, port=ports[0], grpc_port=ports[1]) as server:
        assert len(seen) == 2
        assert 0 not in seen
        assert ask(server)[0] == 200


def test_shapes_are_refused_before_a_tensor_is_made(base):
    with (
        start_server(base) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        before = memory.resident_bytes()
        for shape in ([1, 1, 20_000_000, 3], [300, 1, 65_000, 3], [20_000_000, 1, 1, 3]):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "m"
            request.model_spec.signature_name = "serve_uint8"
            tensor = request.inputs["image"]
            tensor.dtype = tf.uint8.as_datatype_enum
            for side in shape:
                tensor.tensor_shape.dim.add(size=side)
            tensor.int_val.append(1)
            with pytest.raises(grpc.RpcError, match="at most 67108864 pixels together"):
                stub.Predict(request)
        assert memory.resident_bytes() < before + 64 * 2**20


def bomb():
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header


def webp():
    file = io.BytesIO()
    PIL.Image.new("RGB", (16383, 4200)).save(file, "WEBP", lossless=True, method=0)
    return file.getvalue()


@pytest.mark.parametrize("make", [bomb, webp])
def test_bombs_are_refused_in_bytes_and_in_examples(base, make):
    from keras_attn.serving.errors import ServingError
    from keras_attn.serving.models.inference import run_examples
    from keras_attn.serving.models.served_model import ServedModel

    data, model = make(), ServedModel(base / "1")
    with pytest.raises(ServingError, match="pixels together"):
        model.predict({"image_bytes": np.array([data], object)}, signature_name="serve_bytes")
    example = tf.train.Example()
    example.features.feature["image"].bytes_list.value.append(data)
    with pytest.raises(ServingError, match="pixels together"):
        run_examples(model, [example.SerializeToString()], ["x:0"], ["y:0"])
    model.close()


GROW_AND_SHRINK = """
import json, runpy, sys, time

memory = runpy.run_path(sys.argv[1])
resident_bytes, growth = memory["resident_bytes"], memory["GROWTH_BYTES"]
with memory["MemoryTrimmer"]():
    before = resident_bytes()
    many = [bytearray(100_000) for _ in range(3 * growth // 100_000)]
    keep = [bytearray(1000)]  # at the top of the heap
    for piece in many:
        piece[::4096] = b"x" * len(piece[::4096])
    grown = resident_bytes()
    many.clear()
    end = time.monotonic() + 10
    while resident_bytes() > before + growth and time.monotonic() < end:
        time.sleep(0.1)
print(json.dumps([before, grown, resident_bytes()]))
"""


def test_memory_goes_back():
    """In a process of its own: what another test has freed would go back, too."""
    done = subprocess.run(
        [sys.executable, "-c", GROW_AND_SHRINK, memory.__file__], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    before, grown, after = json.loads(done.stdout)
    assert grown > before + 2 * memory.GROWTH_BYTES
    assert after < before + memory.GROWTH_BYTES


def test_no_more_connections_than_file_descriptors(monkeypatch, caplog):
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    monkeypatch.setattr("os.listdir", lambda _: ["fd"] * 30)
    assert most_connections(1024) == 9
    assert "9 of 1024 connections can be open at once: `ulimit -n` is 64" in caplog.text
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100_000, 100_000))
    assert most_connections(1024) == 1024


def test_who_may_change_what_is_served(slow):
    with (
        start_server(slow, options=ServerOptions(reload_config=False)) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="configuration is its owner's alone") as refused:
            stub.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest())
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert ask(server)[0] == 200


def test_wrong_limits():
    for name in ("timeout_keep_alive", "timeout_head", "timeout_body"):
        with pytest.raises(ValueError, match=f"`{name}` must be above 0"):
            ServerOptions(**{name: 0})
    for name in ("max_connections", "max_arriving_bytes"):
        with pytest.raises(ValueError, match=f"`{name}` must be a positive integer"):
            ServerOptions(**{name: 0})
