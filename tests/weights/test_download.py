"""Downloads, from a server on this machine: cache, completion, hashes, mirror, no network."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.server
import threading
import time

import pytest
from huggingface_hub import constants

from keras_attn.applications import SEResNet50
from keras_attn.weights import DownloadError
from keras_attn.weights.download import cache_folder, fetch
from keras_attn.weights.metadata import RemoteFile

DATA = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `DATA` under every path, with ranges; what it does wrong the server says."""

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        server = self.server
        server.requests.append((self.command, self.path, self.headers.get("Range")))
        if server.code != 200:
            self.send_error(server.code)
            return
        data, start = server.data, 0
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        if server.is_hub:
            self.send_header("ETag", f'"{server.etag}"')
            self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if body:
            time.sleep(server.pause)
            end = len(data) if server.stop_after is None else start + server.stop_after
            self.wfile.write(data[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_ATTN_CACHE", str(tmp_path / "cache"))
    for name in ("KERAS_ATTN_MIRROR", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.data, server.code, server.stop_after, server.requests = DATA, 200, None, []
    server.is_hub, server.etag, server.pause = False, SHA256, 0.0
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def visible():
    return [path for path in cache_folder().iterdir() if path.name != ".locks"]


@pytest.mark.parametrize("digits", [SHA256, SHA256[:8], f"md5:{MD5}", None])
def test_downloads_once(server, digits):
    file = RemoteFile(f"{server.url}/a/weights.pth", digits)
    path = fetch(file)
    assert path.read_bytes() == DATA and path.parent == cache_folder()
    assert path.name.endswith("-weights.pth")
    assert fetch(file) == path
    assert server.requests == [("GET", "/a/weights.pth", None)]
    assert [each.name for each in visible()] == [path.name]


def test_an_interrupted_download_goes_on(server):
    file = RemoteFile(f"{server.url}/weights.pth", SHA256)
    server.stop_after = 300_000
    with pytest.raises(DownloadError, match=r"stopped after 300000 of 1048576 bytes. Try again"):
        fetch(file)
    server.stop_after = None
    assert fetch(file).read_bytes() == DATA
    assert [each[2] for each in server.requests] == [None, "bytes=300000-"]


def test_a_download_that_was_whole_but_not_in_place(server):
    file = RemoteFile(f"{server.url}/weights.pth", SHA256)
    path = fetch(file)
    path.rename(path.with_name(f"{path.name}.partial"))
    assert fetch(file).read_bytes() == DATA
    path.rename(path.with_name(f"{path.name}.partial")).write_bytes(DATA + b"more")
    with pytest.raises(DownloadError, match="is no part of it, and was deleted. Try again"):
        fetch(file)
    assert fetch(file).read_bytes() == DATA


@pytest.mark.parametrize("digits", [SHA256, SHA256[:8], f"md5:{MD5}"])
def test_a_flipped_byte_is_found(server, digits):
    file = RemoteFile(f"{server.url}/weights.pth", digits)
    server.data = DATA[:500] + b"x" + DATA[501:]
    with pytest.raises(DownloadError, match="is not the file that was published: its (sha256|md5)"):
        fetch(file)
    assert not visible()  # nothing that a second try would go on with


@pytest.mark.parametrize("digits", [SHA256, SHA256[:8], f"md5:{MD5}"])
def test_a_wrong_file_in_the_cache_is_fetched_again(server, digits, monkeypatch, caplog):
    file = RemoteFile(f"{server.url}/weights.pth", digits)
    path = fetch(file)
    path.write_bytes(DATA[:-1] + b"x")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="Delete it .* and try again"):
        fetch(file)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert fetch(file).read_bytes() == DATA
    assert "It is fetched again" in caplog.text
    path.parent.chmod(0o500)  # a cache that was filled by another needs no writing
    assert fetch(file) == path
    path.parent.chmod(0o700)


def test_a_link_in_the_cache_is_not_followed(server, tmp_path):
    file = RemoteFile(f"{server.url}/weights.pth")
    path = fetch(file)
    path.unlink()
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    for name in ("partial", "validator"):
        path.with_name(f"{path.name}.{name}").symlink_to(other)
    assert fetch(file).read_bytes() == DATA
    assert other.read_bytes() == b"mine"


def test_the_rest_is_of_the_same_version(server):
    """Without a hash, by the source's own mark; without that the download begins anew."""
    file = RemoteFile(f"{server.url}/weights.pth")
    server.stop_after = 300_000
    for server.is_hub, wanted in ((False, None), (True, "bytes=300000-")):
        server.requests.clear()
        with pytest.raises(DownloadError, match="stopped after"):
            fetch(file)
        with pytest.raises(DownloadError, match="stopped after"):
            fetch(file)
        assert [each[2] for each in server.requests] == [None, wanted]
        (partial,) = cache_folder().glob("*.partial")
        partial.unlink()
        partial.with_suffix(".validator").unlink()


def test_one_of_several_downloads(server):
    """The lock is a file's: between threads it is what it is between processes."""
    file = RemoteFile(f"{server.url}/weights.pth")
    server.pause = 0.2
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        paths = list(threads.map(fetch, [file] * 6))
    assert len(set(paths)) == 1
    assert paths[0].read_bytes() == DATA
    assert len(server.requests) == 1


def test_a_mirror(server, monkeypatch):
    monkeypatch.setenv("KERAS_ATTN_MIRROR", f"{server.url}/mirror/")
    assert fetch(RemoteFile("https://nowhere.invalid/a/b.pth", SHA256)).read_bytes() == DATA
    assert server.requests[0][1] == "/mirror/nowhere.invalid/a/b.pth"


def test_offline(server, monkeypatch):
    file = RemoteFile(f"{server.url}/weights.pth", SHA256)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"HF_HUB_OFFLINE forbids .* give the file's path"):
        fetch(file)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    path = fetch(file)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch(file) == path and len(server.requests) == 1


def test_errors_say_what_to_do(server):
    server.code = 404
    file = RemoteFile(f"{server.url}/weights.pth")
    with pytest.raises(DownloadError, match=r"answers 404 .* set KERAS_ATTN_MIRROR"):
        fetch(file)
    closed = RemoteFile("http://127.0.0.1:9/weights.pth")
    with pytest.raises(DownloadError, match=r"could not be reached.*give the file's path"):
        fetch(closed)
    with pytest.raises(DownloadError, match="Download https://a.b/c in a browser"):
        fetch(RemoteFile("https://a.b/c", by_hand=True))


@pytest.fixture
def hub(server, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("KERAS_ATTN_MIRROR", server.url)
    server.is_hub = True
    return server


HUB_FILE = RemoteFile("hf://timm/some.in1k/model.safetensors")


def test_the_hub(hub, monkeypatch):
    path = fetch(HUB_FILE)
    assert path.read_bytes() == DATA
    assert hub.requests[0][1] == "/huggingface.co/timm/some.in1k/resolve/main/model.safetensors"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = len(hub.requests)
    assert fetch(HUB_FILE) == path and len(hub.requests) == before
    path.resolve().write_bytes(b"x" + DATA[1:])
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert fetch(HUB_FILE).read_bytes() == DATA
    path.resolve().write_bytes(b"x" + DATA[1:])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="is not the file that was published: its sha256"):
        fetch(HUB_FILE)


def test_the_hub_offline_or_without_the_file(hub, monkeypatch):
    hub.code = 404
    with pytest.raises(DownloadError, match=r"could not be had: .*resolve/main/model.safetensors"):
        fetch(HUB_FILE)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE forbids to ask for it"):
        fetch(HUB_FILE)


def test_a_blocked_network_never_gives_a_random_model(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_ATTN_CACHE", str(tmp_path))
    monkeypatch.setenv("KERAS_ATTN_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="could not be reached"):
        SEResNet50(weights="timm/legacy_seresnet50.in1k", input_shape=(32, 32, 3))
