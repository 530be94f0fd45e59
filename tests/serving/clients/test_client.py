import ast
import base64
import http.server
import json
import math
import pathlib
import subprocess
import sys
import threading

import pytest

from keras_attn.serving.clients import client, load

FILE = pathlib.Path(client.__file__)
IMAGE = [[[1.0, 2.0]]]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers what the test has put into `server.reply`, and notes what it was asked."""

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        self.server.asked = (self.path, json.loads(self.rfile.read(length) or "null"))
        code, body = self.server.reply
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.url = f"http://127.0.0.1:{running.server_port}/v1/models/m"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def run(*arguments, input=None):
    return subprocess.run(
        [sys.executable, "-I", str(FILE), *arguments], input=input, capture_output=True, text=True
    )


def test_imports_the_standard_library_alone():
    for node in ast.walk(ast.parse(FILE.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module]
        assert all(name.split(".")[0] in sys.stdlib_module_names for name in names)


def test_predict(server):
    server.reply = (200, b'{"predictions": [[0.5, NaN]]}')
    (row,) = client.predict(server.url + "/", [IMAGE], signature_name="s")
    assert row[0] == 0.5
    assert row[1] != row[1]
    assert server.asked == (
        "/v1/models/m:predict",
        {"instances": [IMAGE], "signature_name": "s"},
    )
    client.predict(server.url + "/versions/3:predict", [IMAGE])
    assert server.asked == ("/v1/models/m/versions/3:predict", {"instances": [IMAGE]})


PNG = b"\x89PNG\r\n\x1a\n and so on"
SENT = {
    "signature_name": "serve_bytes",
    "instances": [{"b64": base64.b64encode(PNG).decode()}],
}


def test_classify(server):
    server.reply = (200, b'{"predictions": [{"labels": ["cat"], "scores": [0.5]}]}')
    assert client.classify(server.url, [PNG]) == [{"labels": ["cat"], "scores": [0.5]}]
    assert server.asked == ("/v1/models/m:predict", SENT)


def test_an_image_file_from_the_command_line(server, tmp_path):
    (tmp_path / "cat.png").write_bytes(PNG)
    server.reply = (200, b'{"predictions": [{"labels": ["cat"]}]}')
    done = run("--url", server.url, str(tmp_path / "cat.png"))
    assert (done.returncode, json.loads(done.stdout)) == (
        0,
        {"predictions": [{"labels": ["cat"]}]},
    )
    assert server.asked == ("/v1/models/m:predict", SENT)


def test_signatures(server):
    server.reply = (200, b'{"metadata": {"signature_def": {"signature_def": {"s": {}}}}}')
    assert client.signatures(server.url) == {"s": {}}
    server.reply = (200, b'{"metadata": {}}')
    with pytest.raises(client.ServerError, match="metadata without signatures"):
        client.signatures(server.url)


def test_status_and_send(server):
    server.reply = (200, b'{"model_version_status": [{"version": "1"}]}')
    assert client.status(server.url) == [{"version": "1"}]
    server.reply = (200, b'{"outputs": 3}')
    assert client.send(server.url, {"inputs": 1}) == {"outputs": 3}


@pytest.mark.parametrize(
    ("reply", "status", "message"),
    [
        ((404, b'{"error": "no such model"}'), 404, "no such model"),
        ((502, b"<html>bad gateway"), 502, "<html>bad gateway"),
        ((500, b""), 500, "nothing"),
        ((400, b"[1]"), 400, "[1]"),
        ((200, b"<html>"), 200, "no JSON object but b'<html>'"),
        ((200, b"[]"), 200, "no JSON object but b'[]'"),
        ((200, b"{}"), 200, "a reply without `predictions`"),
    ],
)
def test_errors_of_the_server(server, reply, status, message):
    server.reply = reply
    with pytest.raises(client.ServerError) as caught:
        client.predict(server.url, [IMAGE])
    assert (caught.value.status, caught.value.message) == (status, message)
    assert str(caught.value) == f"the server answered {status}: {message}"


def test_nobody_there():
    with pytest.raises(ConnectionError, match="http://127.0.0.1:9/v1/models/m:predict can't be re"):
        client.predict("http://127.0.0.1:9/v1/models/m", [IMAGE])
    with pytest.raises(ConnectionError, match="can't be reached"):
        client.status("http://no-such-host.invalid/v1/models/m")


def test_nobody_answers():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/models/m"
        with pytest.raises(TimeoutError, match="did not answer within 0.2 s"):
            client.predict(url, [IMAGE], timeout=0.2)


@pytest.mark.parametrize(
    "url",
    ["file:///v1/models/m", "localhost:8501", "http://localhost:8501", "", "ftp://a/v1/models/m"],
)
def test_wrong_url(url):
    with pytest.raises(ValueError, match="`url` must be like http://host:port/v1/models/name"):
        client.predict(url, [IMAGE])


@pytest.mark.parametrize(
    ("content", "request_"),
    [
        (IMAGE, {"instances": [IMAGE]}),
        ([IMAGE, IMAGE], {"instances": [IMAGE, IMAGE]}),
        ({"inputs": IMAGE}, {"inputs": IMAGE}),
    ],
)
def test_command_line(server, tmp_path, content, request_):
    server.reply = (200, b'{"predictions": [0.25]}')
    file = tmp_path / "image.json"
    file.write_text(json.dumps(content))
    done = run("--url", server.url, str(file))
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (
        0,
        {"predictions": [0.25]},
        "",
    )
    assert server.asked == ("/v1/models/m:predict", request_)


def test_command_line_reads_standard_input(server):
    server.reply = (200, b'{"predictions": [0.25]}')
    done = run("--url", server.url, "--signature", "s", "-", input=json.dumps(IMAGE))
    assert done.returncode == 0
    assert server.asked[1] == {"instances": [IMAGE], "signature_name": "s"}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("[[1, 2]]", "FILE must hold an image (three lists deep)"),
        ("3", "Received: lists 0 deep"),
        ("{", "must be an image or JSON: Expecting property name"),
        ("\xff", "must be an image or JSON: "),
        ("[" * 100_000, "must be an image or JSON: "),
        (None, "No such file"),
    ],
)
def test_command_line_with_a_wrong_file(server, tmp_path, content, error):
    file = tmp_path / "image.json"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    done = run("--url", server.url, str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert error in done.stderr
    assert done.stderr.count("\n") == 1


def test_command_line_errors(server, tmp_path):
    server.reply = (404, b'{"error": "no such model"}')
    file = tmp_path / "image.json"
    file.write_text(json.dumps(IMAGE))
    done = run("--url", server.url, str(file))
    assert (done.returncode, done.stderr) == (
        1,
        "error: the server answered 404: no such model\n",
    )
    done = run("--url", "http://127.0.0.1:9/v1/models/m", str(file))
    assert done.returncode == 1
    assert done.stderr.startswith("error: http://127.0.0.1:9/v1/models/m:predict can't be reached")
    assert run(str(file)).returncode == 2
    assert "three lists deep" not in run("--help").stderr
    assert "nested lists" in run("--help").stdout


def test_percentiles():
    assert load.percentiles([float(value) for value in range(101)]) == [50.0, 95.0, 99.0]
    assert load.percentiles([7.0, 3.0]) == pytest.approx([5.0, 6.8, 6.96])
    assert load.percentiles([7.0]) == [7.0, 7.0, 7.0]
    assert all(math.isnan(value) for value in load.percentiles([]))
