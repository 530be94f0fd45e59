"""Requests that nobody should send: each is refused with a reason, and the server goes on."""

from __future__ import annotations

import base64
import http.client
import json
import os
import pathlib
import subprocess
import sys
import urllib.parse

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from helpers import serving_models
from helpers.image_bombs import bomb
from helpers.paths import ROOT

TWINS = {  # of 4xx
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
PREDICT = "/v1/models/images:predict"
PNG, JPEG = serving_models.picture(64), serving_models.picture(64, "JPEG")


class Server:
    """A server in a process of its own, whose memory can be read."""

    def __init__(self, folder):
        serving_models.save_images(folder / "images" / "1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "keras_attn.cli", "serve", str(folder / "images")]
            + ["--port", "0", "--grpc-port", "0", "--max-body-bytes", "1000000"]
            + ["--request-threads", "8"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)},
        )
        for line in self.process.stderr:
            if line.startswith("serving at http://"):
                self.host = line.split("//")[1].split("/")[0]
            if line.startswith("serving gRPC at "):
                self.grpc_address = line.split()[-1]
                break
        self.connection = http.client.HTTPConnection(self.host, timeout=60)
        self.channel = grpc.insecure_channel(self.grpc_address)
        self.predict = self.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

    def memory(self):
        """Resident bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def rest(self, method, path, body):
        """Status and body; a connection that the server has closed is opened again."""
        for _ in range(2):
            try:
                self.connection.request(method, path, body)
                reply = self.connection.getresponse()
                return reply.status, reply.read()
            except (ConnectionError, http.client.BadStatusLine):
                self.connection.close()
        raise AssertionError("the server hangs up")

    def close(self):
        self.channel.close()
        self.connection.close()
        self.process.terminate()
        _, log = self.process.communicate(timeout=60)
        return log


@pytest.fixture
def server(tmp_path):
    one = Server(tmp_path)
    yield one
    if one.process.poll() is None:
        one.close()


def instances(value, signature=""):
    request = {"instances": value} | ({"signature_name": signature} if signature else {})
    return json.dumps(request).encode()


def of_bytes(data, signature="serve_bytes"):
    return instances([{"b64": base64.b64encode(data).decode()}], signature)


def random_bytes(rng):
    return "POST", PREDICT, b"\xff" + rng.bytes(int(rng.integers(0, 3000)))


def cut_json(rng):
    body = instances(rng.random((1, 2, 2, 3)).tolist())
    return "POST", PREDICT, body[: int(rng.integers(0, len(body) - 1))]


def cut_image(rng):
    data = [PNG, JPEG][rng.integers(2)]
    return "POST", PREDICT, of_bytes(data[: int(rng.integers(0, 100))])


def no_image(rng):
    start = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM"][rng.integers(5)]
    return "POST", PREDICT, of_bytes(start + rng.bytes(int(rng.integers(0, 300))))


def decompression_bomb(rng):
    width, height = rng.integers(20_000, 2**31 - 1, 2).tolist()
    return "POST", PREDICT, of_bytes(bomb(width, height), ["serve_bytes", "serve_attention"][0])


def wrong_shape(rng):
    shape = [(), (2,), (3, 2), (2, 2, 4), (2, 2, 3, 1), (0,), (2, 0)][rng.integers(7)]
    return "POST", PREDICT, instances([rng.random(shape).tolist()])


def wrong_type(rng):
    value = ["a", True, None, {}, {"b64": "AA=="}, [], {"a": 1}][rng.integers(7)]
    return "POST", PREDICT, instances([[[[value, value, value]]]])


def ragged(rng):
    rows = [[[0.5] * 3] * int(size) for size in rng.permutation(5)[:3] + 1]
    return "POST", PREDICT, instances([rows])


def deep(rng):
    depth = int(rng.choice([60, 100, 200, 900, 990, 1100, 50_000]))
    opening, closing = [("[", "]"), ('{"a":', "}")][rng.integers(2)]
    inner = opening * depth + "1" + closing * depth
    before = ['{"instances": [1,', '{"instances":', '{"x":', '{"inputs": {"image":'][
        rng.integers(4)
    ]
    return "POST", PREDICT, (before + inner + ("]}" if "[1" in before else "}")).encode()


def not_a_number(rng):
    word = ["NaN", "Infinity", "-Infinity", "nan", "1e9999", "-1e9999", "9" * 5000][rng.integers(7)]
    text = f'{{"signature_name": "serve_uint8", "instances": [[[[{word}, 0, 0]]]]}}'
    return "POST", PREDICT, text.encode()


def huge_integer(rng):
    number = int(rng.choice([-1, 256, 2**31, 2**62])) * int(rng.integers(1, 10**6)) - 1
    number = number if number < 0 or number > 255 else -5
    return "POST", PREDICT, instances([[[[number, 0, 0]]]], "serve_uint8")


def wrong_base64(rng):
    text = ["?", "A", "=A==", "AA-_", "\u00e9", "A" * 5][rng.integers(6)] + "!"
    return "POST", PREDICT, instances([{"b64": text}], "serve_bytes")


def path_trick(rng):
    names = ["..", "../..", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%00", "images%00", "images/.."]
    names += [
        "x" * 5000,
        "%ff%fe",
        "images/versions/../1",
        "images%2fversions%2f1",
        "\\..\\..",
        "$(id)",
    ]
    names += [
        urllib.parse.quote(rng.bytes(8)),
        "images/versions/99999999999999999999",
        "images/labels/",
    ]
    name = names[rng.integers(len(names))]
    if rng.integers(2):
        return "GET", f"/v1/models/{name}", b""
    return "POST", f"/v1/models/{name}:predict", instances([[[[0, 0, 0]]]])


def wrong_method(rng):
    method = ["PUT", "DELETE", "PATCH", "GET", "POST"][rng.integers(5)]
    path = {"GET": PREDICT, "POST": "/v1/models/images"}.get(method, PREDICT)
    return method, path, instances([[[[0, 0, 0]]]])


def wrong_signature(rng):
    name = [1, None, [], "", "x" * 300, "__saved_model_init_op", "\ud800"][rng.integers(7)]
    body = {"signature_name": name, "instances": [[[["a", 0, 0]]]]}
    return "POST", PREDICT, json.dumps(body).encode()


def too_long(rng):
    return "POST", PREDICT, b" " * int(rng.integers(1_000_001, 1_100_000))


REST = [
    random_bytes, cut_json, cut_image, no_image, decompression_bomb, wrong_shape, wrong_type,
    ragged, deep, not_a_number, huge_integer, wrong_base64, path_trick, wrong_method,
    wrong_signature,
]  # fmt: skip


def message(value, key="image", signature="", name="images"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def garbage_message(rng):
    return b"\xff" + rng.bytes(int(rng.integers(1, 500)))


def cut_message(rng):
    data = message(rng.random((1, 2, 2, 3), np.float32)).SerializeToString()
    return data[: int(rng.integers(20, len(data) - 1))]


def wrong_tensor(rng):
    dtypes = [np.float64, np.int32, np.uint8, np.complex64, np.bool_]
    shape = (1, 2, 2, 3)
    return message(rng.random(shape).astype(dtypes[rng.integers(5)])).SerializeToString()


def wrong_tensor_shape(rng):
    shape = [(), (3,), (2, 2, 3), (1, 2, 2, 4), (1, 2, 2, 3, 1)][rng.integers(5)]
    return message(rng.random(shape).astype(np.float32)).SerializeToString()


def broken_tensor(rng):
    request = message(rng.random((1, 2, 2, 3), np.float32))
    tensor = request.inputs["image"]
    kind = rng.integers(5)
    if kind == 0:
        tensor.tensor_content = tensor.tensor_content[: int(rng.integers(1, 47))]
    elif kind == 1:
        tensor.tensor_shape.dim[int(rng.integers(4))].size = int(rng.choice([-1, -(2**63), 2**62]))
    elif kind == 2:
        tensor.dtype = int(rng.choice([0, 20, 21, 99, 10_000]))
    elif kind == 3:
        del tensor.tensor_shape.dim[0]  # as many numbers, of a rank that the graph refuses
    else:  # a shape alone that asks for terabytes
        tensor.tensor_content = b""
        for dim in tensor.tensor_shape.dim:
            dim.size = 50_000
    return request.SerializeToString()


def broken_image_message(rng):
    data = [bomb(50_000, 60_000), JPEG[: int(rng.integers(0, 100))], rng.bytes(50)][rng.integers(3)]
    value = np.array([data], object)
    return message(value, "image_bytes", "serve_attention").SerializeToString()


def wrong_names(rng):
    value = np.zeros((1, 1, 1, 3), np.float32)
    return [
        message(value, name="../../etc/passwd"),
        message(value, name=""),
        message(value, signature="none"),
        message(value, key="none"),
        predict_pb2.PredictRequest(),
    ][rng.integers(5)].SerializeToString()


GRPC = [
    garbage_message, cut_message, wrong_tensor, wrong_tensor_shape, broken_tensor,
    broken_image_message, wrong_names,
]  # fmt: skip


def send_rest(server, maker, rng):
    method, path, body = maker(rng)
    status, reply = server.rest(method, path, body)
    told = (maker.__name__, method, path[:100], body[:200], status, reply[:300])
    assert 400 <= status < 500, told
    if reply.startswith(b"{"):
        assert json.loads(reply)["error"], told
    else:  # no HTTP at all
        assert reply == b"Invalid HTTP request received.", told


def send_grpc(server, maker, rng):
    data = maker(rng)
    try:
        server.predict(data, timeout=60)
    except grpc.RpcError as error:
        assert error.code() in TWINS, (maker.__name__, data[:200], error)
        assert error.details(), (maker.__name__, data[:200], error)
    else:
        raise AssertionError((maker.__name__, data[:200], "was answered"))


def fuzz(server, count, rng):
    makers = [(send_rest, maker) for maker in REST] + [(send_grpc, maker) for maker in GRPC]
    for index in range(count):
        send, maker = makers[index % len(makers)]
        send(server, maker, rng)
        if index % 2000 == 7:
            send_rest(server, too_long, rng)


def still_answers(server):
    status, reply = server.rest("POST", PREDICT, of_bytes(PNG))
    assert (status, len(json.loads(reply)["predictions"])) == (200, 1)
    assert server.predict(message(np.zeros((1, 2, 2, 3), np.float32)).SerializeToString())


@pytest.mark.thorough
def test_each_kind_is_refused(server):
    fuzz(server, 10 * (len(REST) + len(GRPC)), np.random.default_rng(0))
    still_answers(server)
    log = server.close()
    assert server.process.returncode == 0
    assert "Traceback" not in log


@pytest.mark.slow
def test_twenty_thousand_and_memory_stays(server):
    rng = np.random.default_rng(1)
    fuzz(server, 4000, rng)
    before = server.memory()
    fuzz(server, 16_000, rng)
    still_answers(server)
    growth = server.memory() - before
    print(
        f"20,000 requests refused; memory {before / 2**20:.0f} MB, {growth / 2**20:+.1f} MB after"
    )
    assert growth < 32 * 2**20
    server.close()
