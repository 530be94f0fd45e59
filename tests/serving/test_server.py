import concurrent.futures
import contextlib
import http.client
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest

from keras_attn.export import export_saved_model
from keras_attn.serving import ServerOptions, predict, serve, start_server, status


@pytest.fixture(scope="module")
def model():
    image = keras.Input((None, None, 2))
    x = keras.layers.Conv2D(5, 3, padding="same", activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))


@pytest.fixture(scope="module")
def base(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("exports") / "digits"
    export_saved_model(model, path)
    return path


@pytest.fixture(scope="module")
def server(base):
    with start_server(base, options=ServerOptions(max_body_bytes=100_000)) as running:
        yield running


def ask(url, data=None):
    request = urllib.request.Request(url, data=data)
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, reply.headers["Content-Type"], json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], json.load(error)


def images(batch=2, height=7, width=11):
    return np.random.default_rng(1).random((batch, height, width, 2), np.float32)


@pytest.mark.parametrize(("height", "width"), [(7, 11), (13, 5)])
def test_predictions_equal_the_model(server, model, height, width):
    x = images(3, height, width)
    body = json.dumps({"instances": x.tolist()}).encode()
    code, kind, reply = ask(f"{server.model_url}:predict", body)
    assert (code, kind) == (200, "application/json")
    assert [set(row) for row in reply["predictions"]] == [{"probabilities", "logits"}] * 3
    probabilities = [row["probabilities"] for row in reply["predictions"]]
    np.testing.assert_allclose(probabilities, model(x), rtol=0, atol=1e-6)

    body = json.dumps({"inputs": {"image": x.tolist()}}).encode()
    code, _, reply = ask(f"{server.model_url}/versions/1:predict", body)
    assert code == 200
    np.testing.assert_array_equal(reply["outputs"]["probabilities"], probabilities)


def test_status_and_metadata(server):
    assert ask(server.model_url) == (
        200,
        "application/json",
        {
            "model_version_status": [
                {
                    "version": "1",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        },
    )
    code, _, reply = ask(f"{server.model_url}/versions/1/metadata")
    assert code == 200
    image = reply["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]
    assert image["image"]["dtype"] == "DT_FLOAT"
    assert [d["size"] for d in image["image"]["tensor_shape"]["dim"]] == ["-1", "-1", "-1", "2"]


@pytest.mark.parametrize(
    ("path", "body", "code", "error"),
    [
        (
            "/v1/models/none:predict",
            b'{"instances": [1]}',
            404,
            "Servable not found for request: Latest(none)",
        ),
        ("/v1/models/digits:predict", b"", 400, "JSON Parse error: The document is empty"),
        ("/v1/models/..%2f..", None, 404, "Could not find any versions of model ../.."),
        ("/v2", None, 404, "Not found: /v2. The models are under /v1/models"),
    ],
)
def test_errors(server, path, body, code, error):
    assert ask(server.url + path, body) == (code, "application/json", {"error": error})


@pytest.mark.parametrize("form", ["", "http://other:80", "HTTPS://u@[::1]:1"])
def test_a_target_in_absolute_form(server, form):
    """RFC 9112, 3.2.2: a server must accept it, whatever host it names."""
    host, port = server.url.removeprefix("http://").split(":")
    for method, path, code in [
        ("GET", "/v1/models/digits", 200),
        ("GET", "/v1/models/digits?x=1", 404),  # a model of that name, as there
        ("GET", "/v1/models/digits/metadata?x=1", 400),
        ("POST", "/v1/models/digits:predict?x=1", 400),
        ("GET", "/v1/models/none?x=http://a/", 400),
        ("GET", "/", 200),
        *([("GET", "", 200)] if form else []),
    ]:
        with contextlib.closing(http.client.HTTPConnection(host, int(port))) as connection:
            connection.putrequest(method, form + path, skip_host=True)
            connection.putheader("Host", "h")
            connection.putheader("Content-Length", "0")
            connection.endheaders()
            reply = connection.getresponse()
            body = reply.read()
        assert reply.status == code
        if code == 400:
            assert json.loads(body) == {"error": f"Malformed request: {method} {path}"}


def test_an_image_that_the_network_does_not_take(server):
    code, _, reply = ask(f"{server.model_url}:predict", b'{"instances": [[[[1, 2, 3]]]]}')
    assert code == 400
    assert reply["error"].startswith("input depth must be evenly divisible by filter depth: 3 vs 2")


@pytest.mark.parametrize("size", [100_001, 150_000, 380_000])
def test_a_body_that_is_too_long(server, size):
    """A urllib client hears of it too: it does not read before it has sent all."""
    assert ask(f"{server.model_url}:predict", b"x" * size) == (
        413,
        "application/json",
        {"error": "The request's body must have at most 100000 bytes"},
    )


def test_a_body_without_a_length_is_bounded_too(server):
    chunks = (b"x" * 10_000 for _ in range(20))
    assert ask(f"{server.model_url}:predict", chunks)[0] == 413
    chunks = iter([b'{"instances": ', b"[[[[1, 2]]]]", b"}"])
    assert ask(f"{server.model_url}:predict", chunks)[0] == 200


def test_an_endless_body_is_cut(server):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /v1/models/digits:predict HTTP/1.1\r\nHost: x\r\n"
            b"Content-Length: 1000000000\r\n\r\n"
        )
        try:
            while True:
                connection.sendall(b"x" * 65536)
        except OSError:
            pass  # the server has hung up
    assert ask(server.model_url)[0] == 200


def test_a_client_that_leaves_harms_nobody(server):
    host, port = server.url.removeprefix("http://").split(":")
    for data in (
        b"\0\xff nothing like HTTP\r\n\r\n",
        b"POST /v1/models/digits:predict HTTP/1.1\r\n",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(data + b"Host: x\r\nContent-Length: 10\r\n\r\n{")
    assert ask(server.model_url)[0] == 200


def test_many_at_once(server, model):
    batches = [images(1, 3 + i, 5) for i in range(12)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda x: predict(server.model_url, x.tolist()), batches))
    for x, reply in zip(batches, replies, strict=True):
        np.testing.assert_allclose(reply[0]["probabilities"], model(x)[0], rtol=0, atol=1e-6)


def test_start_and_stop(base):
    running = start_server(base, name="other name")
    assert status(running.model_url)[0]["state"] == "AVAILABLE"
    running.stop()
    running.stop()
    with pytest.raises(ConnectionError, match="can't be reached"):
        status(running.model_url)
    port = int(running.url.rsplit(":", 1)[1])
    with start_server(base, port=port) as again:  # the port is free again
        assert again.url == running.url


@pytest.mark.parametrize("function", [serve, start_server])
def test_a_port_in_use(base, function):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} at 127.0.0.1 is in use") as caught:
            function(base, port=port, grpc_port=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", [serve, start_server])
def test_wrong_arguments(tmp_path, base, function):
    for port in (-1, 65536, "8501", True):
        with pytest.raises(ValueError, match="`port` must be an integer from 0 to 65535"):
            function(base, port=port, grpc_port=0)
    with pytest.raises(OSError, match="at 192.0.2.1 can't be had"):
        function(base, host="192.0.2.1", port=0)
    with pytest.raises(ValueError, match="`path` must be the base folder"):
        function(tmp_path / "none", port=0)
    with pytest.raises(ValueError, match="`grpc_port` must be an integer from 0 to 65535"):
        function(base, port=0, grpc_port=-1)
    for arguments in ({}, {"path": base, "model_config_file": base}):
        with pytest.raises(ValueError, match="Exactly one of `path` and `model_config_file`"):
            function(**arguments)
    for wrong in (0, "1", True):
        with pytest.raises(ValueError, match="`max_body_bytes` must be a positive integer"):
            ServerOptions(max_body_bytes=wrong)
    with pytest.raises(ValueError, match="`drain_seconds` must not be negative"):
        ServerOptions(drain_seconds=-1)
    with pytest.raises(ValueError, match="must come with `batching`"):
        ServerOptions(enable_per_model_batching_parameters=True)


def test_serve_blocks_until_interrupted(base):
    """Ctrl-C ends it with exit code 0 and no traceback."""
    script = (
        "import logging, sys; logging.basicConfig(level='INFO', format='%(message)s');"
        "import keras_attn.serving as s; s.serve(sys.argv[1], port=0, grpc_port=0); print('after')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(base)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    ) as process:
        for line in process.stderr:
            if line.startswith("serving at http://"):
                break
        url = line.split()[-1]
        assert status(url)[0]["version"] == "1"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (0, "after\n")
    assert "Traceback" not in err


def test_the_log_stays_the_callers(server):
    assert logging.getLogger("uvicorn").handlers == []
