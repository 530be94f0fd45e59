"""What a server is put through: hostile requests and clients, swaps, signals, overload."""

from __future__ import annotations

import base64
import io
import json
import shutil
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.reliability.server_process import IMAGE, Clients, ServerProcess, save_model
from benchmarks.reliability.trial import Trial, progress

PART = "serving"
MOST_SECONDS = 5.0
MOST_MIB = 200.0
LONG_SECONDS = 3600.0


def trials(folder: Path, *, quick: bool, long: bool = False) -> Iterator[Trial]:
    """Runs the trials.

    Args:
        folder: Where the models are written.
        quick: Some seconds of them only.
        long: More of each, and an hour of mixed load.
    """
    base = folder / "m"
    save_model(base / "1")
    server = ServerProcess(base)
    try:
        yield _hostile(server, 19 if quick else 400 if long else 114)
        yield _silent(server, 64 if quick else 1500)
        if not quick:
            yield _vanishing(server, 300 if long else 150)
            yield _swaps(server, base, 25 if long else 9)
    finally:
        server.stop()
    if not quick:
        yield _overload(base)
        yield _descriptors(base)
        for workers in (1, 2):
            yield _signals(base, workers, 3 if long else 2)
    if long:
        yield _mixed(base, LONG_SECONDS)


# -- hostile requests ---------------------------------------------------------------------------


def _of_bytes(data: bytes) -> bytes:
    value = {"b64": base64.b64encode(data).decode()}
    return json.dumps({"signature_name": "serve_bytes", "instances": [value]}).encode()


def _png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(bytes(1000))
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c))
        for c in (header, pixels)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _webp(width: int, height: int) -> bytes:
    import PIL.Image

    file = io.BytesIO()
    PIL.Image.new("RGB", (width, height)).save(file, "WEBP", lossless=True, method=0)
    return file.getvalue()


def _bodies(rng: np.random.Generator) -> list[tuple[str, bytes]]:
    """Bodies for REST, by the kind of harm that they mean."""
    row = [[1, 2, 3]] * int(rng.integers(100_000, 150_000))
    uint8 = {"signature_name": "serve_uint8", "instances": [[row]]}
    return [
        ("jpeg without an end", _of_bytes(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 350_000)),
        ("jpeg of filling", _of_bytes(b"\xff\xd8" + b"\xff" * 1_400_000)),
        ("png of any size", _of_bytes(_png(*rng.integers(20_000, 2**31 - 1, 2).tolist()))),
        ("png of a line", _of_bytes(_png(int(rng.integers(1, 9)) * 10**7, 1))),
        ("gif of any year", _of_bytes(b"GIF8" + rng.bytes(2) + struct.pack("<HH", 60000, 60000))),
        ("gif of blocks", _of_bytes(b"GIF89a" + bytes(7) + b"\x21\x00" + b"\x01a" * 700_000)),
        ("webp of one colour", _of_bytes(_webp(16383, 4200))),
        ("jpeg xl", _of_bytes(b"\xff\x0a" + rng.bytes(2000))),
        ("a line of pixels", json.dumps(uint8).encode()),
        ("deep", b'{"instances": ' + b"[" * int(rng.integers(10**3, 10**6))),
        ("long number", b'{"instances": [' + b"9" * 1_900_000 + b"]}"),
        ("many keys", b"{" + b",".join(b'"k%d":1' % i for i in range(150_000)) + b"}"),
        ("rubbish", rng.bytes(int(rng.integers(1, 10**6)))),
        ("cut off", IMAGE[: int(rng.integers(1, len(IMAGE)))]),
    ]


def _shapes(rng: np.random.Generator) -> list[list[int]]:
    """Shapes for gRPC, of tensors that one value fills."""
    long = int(rng.integers(10**7, 2 * 10**7))
    return [[1, 1, long, 3], [long, 1, 1, 3], [300, 1, 65_000, 3], [2**31, 2**31, 1, 3], [-1] * 4]


def _hostile(server: ServerProcess, rounds: int) -> Trial:
    """A refusal with a reason, in time, and as much memory afterwards as before."""
    rng = np.random.default_rng(0)
    score = _Score("requests that ask for memory or time")
    channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    server.ask(IMAGE)
    before = server.mib()

    def over_grpc(shape: list[int]) -> int:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = server.name
        request.model_spec.signature_name = "serve_uint8"
        tensor = request.inputs["image"]
        tensor.dtype = 4  # uint8
        for side in shape:
            tensor.tensor_shape.dim.add(size=side)
        tensor.int_val.append(1)
        try:
            stub.Predict(request, timeout=60)
            return 200
        except grpc.RpcError as error:
            refused = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
            return 400 if error.code() in refused else 500

    def over_rest(body: bytes) -> int:
        return server.ask(body, seconds=60)[0]

    while score.tried < rounds:
        progress(PART, "requests that ask for memory or time", score.tried, rounds)
        asked: list[tuple[str, Callable[[], int]]] = [
            (kind, lambda body=body: over_rest(body)) for kind, body in _bodies(rng)
        ]
        asked += [
            (f"shape {shape}", lambda shape=shape: over_grpc(shape)) for shape in _shapes(rng)
        ]
        for kind, ask in asked:
            start = time.monotonic()
            status = ask()
            seconds = time.monotonic() - start
            ok = status == 200 or 400 <= status < 500
            score.add(ok, wrong=not ok, note=f"{kind}: {status}")
            if seconds > MOST_SECONDS:
                score.lose(f"{kind}: {seconds:.1f} s")
        time.sleep(1.5)
        if server.mib() > before + MOST_MIB:
            score.lose(f"{server.mib() - before:.0f} MiB kept")
        if server.ask(IMAGE)[0] != 200:
            score.lose("it answers no more")
    channel.close()
    return score.trial()


# -- clients ------------------------------------------------------------------------------------


def _silent(server: ServerProcess, count: int) -> Trial:
    """Connections that say nothing, or half of something; everybody else is answered."""
    score = _Score("silent and slow connections")
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    open_ones = []
    for index in range(count):
        if index % 250 == 0:
            progress(PART, "silent and slow connections", index, count)
        try:
            port = server.grpc_port if index % 4 == 3 else server.port
            connection = socket.create_connection(("127.0.0.1", port), timeout=10)
            connection.sendall((b"", b"POST /", head, b"PRI * HTTP/2.0\r\n")[index % 4])
            open_ones.append(connection)
        except OSError:  # it may refuse these, not the others
            pass
        if index % 16 == 0:
            score.add(server.ask(IMAGE)[0] == 200, note="not answered")
            score.add(server.ask(None, path="")[0] == 200, note="no status")
    for connection in open_ones:
        connection.close()
    return score.trial()


def _vanishing(server: ServerProcess, count: int) -> Trial:
    """Clients that are gone before they are answered."""
    score = _Score("clients that vanish")
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    for index in range(count):
        if index % 50 == 0:
            progress(PART, "clients that vanish", index, count)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(head % len(IMAGE) + IMAGE[: len(IMAGE) * (index % 11) // 10])
            linger = struct.pack("ii", 1, 0)
            if index % 2:  # with a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        score.add(server.ask(IMAGE)[0] == 200, note="the next one is not answered")
    return score.trial()


# -- versions -----------------------------------------------------------------------------------


def _swaps(server: ServerProcess, base: Path, count: int) -> Trial:
    """New versions under load: whole, broken, and copied slowly."""
    score = _Score("new versions under load, a third of them broken or half copied")
    ready = base.parent / "ready"
    save_model(ready)
    clients = Clients(server, 8)
    last = 1
    for index in range(count):
        progress(PART, "new versions under load", index, count)
        version = base / str(index + 2)
        if index % 3 == 1:
            shutil.copytree(ready, version)
            (version / "saved_model.pb").write_bytes(b"no model" * 99)
        else:
            version.mkdir()
            names = sorted((p for p in ready.rglob("*") if p.is_file()), reverse=bool(index % 2))
            for path in names:
                (version / path.relative_to(ready)).parent.mkdir(parents=True, exist_ok=True)
                time.sleep(0.05)
                shutil.copyfile(path, version / path.relative_to(ready))
            last = index + 2
        end = time.monotonic() + 30
        while not _serves(server, last) and time.monotonic() < end:
            time.sleep(0.1)
        score.add(_serves(server, last), note=f"version {last} is not served")
        if index % 3 == 1:
            shutil.rmtree(version)
    clients.stop()
    failures = {k: n for k, n in clients.seen.items() if k != "200"}
    for kind, number in failures.items():
        score.lose(f"{number} requests: {kind}")
    return score.trial(f"{clients.seen['200']} requests answered")


def _serves(server: ServerProcess, version: int) -> bool:
    states = json.loads(server.ask(None, path="")[1])["model_version_status"]
    return any(s["version"] == str(version) and s["state"] == "AVAILABLE" for s in states)


# -- load and signals ---------------------------------------------------------------------------


def _overload(base: Path) -> Trial:
    """Four times as many as it takes: the others hear so, and status and health answer."""
    score = _Score("four times as many requests as it takes")
    progress(PART, "four times as many requests as it takes", 0, 1)
    server = ServerProcess(base, "--max-requests", "8", "--request-threads", "2")
    body = json.dumps({"instances": [[[[0.1, 0.2, 0.3]] * 8] * 8] * 200}).encode()
    clients = Clients(server, 32, body)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        start = time.monotonic()
        ok = server.ask(None, path="")[0] == 200
        score.add(ok and time.monotonic() - start < MOST_SECONDS, note="status is not answered")
        time.sleep(0.1)
    clients.stop()
    server.stop()
    for kind, number in clients.seen.items():
        if kind not in ("200", "429"):
            score.lose(f"{number} requests: {kind}")
    return score.trial(f"{clients.seen['200']} answered, {clients.seen['429']} told to wait")


def _descriptors(base: Path) -> Trial:
    """120 silent connections where 64 files may be open, at either port."""
    score = _Score("more connections than file descriptors")
    server = ServerProcess(base, files=64)
    for port in (server.port, server.grpc_port):
        held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(120)]
        for _ in range(10):
            score.add(server.ask(IMAGE)[0] == 200, note="not answered")
        for connection in held:
            connection.close()
    server.stop()
    if (size := sum(map(len, server.log))) > 100_000:
        score.lose(f"{size} bytes of log")
    return score.trial()


def _signals(base: Path, workers: int, count: int) -> Trial:
    """SIGTERM under load: each request is answered or refused at once."""
    score = _Score(f"SIGTERM under load, {workers} process{'es' if workers > 1 else ''}")
    answered = 0
    for index in range(count):
        progress(PART, f"SIGTERM under load, --workers {workers}", index, count)
        server = ServerProcess(base, "--workers", str(workers))
        clients = Clients(server, 8)
        time.sleep(2.0)
        code, seconds = server.stop()
        time.sleep(0.2)
        clients.stop()
        answered += clients.seen["200"]
        broken = {k: n for k, n in clients.seen.items() if k not in ("200", "refused")}
        score.add(code == 0 and not broken, note=f"exit {code}, {broken}")
        if seconds > 40:
            score.lose(f"it took {seconds:.0f} s to stop")
    return score.trial(f"{answered} requests answered")


def _mixed(base: Path, seconds: float) -> Trial:
    """Numbers, files and hostile bodies together: all answered, memory flat."""
    score = _Score(f"{seconds / 60:.0f} minutes of mixed load")
    server = ServerProcess(base)
    rng = np.random.default_rng(1)
    clients = [Clients(server, 2, body) for body in (IMAGE, _of_bytes(_webp(64, 48)))]
    start, early = time.monotonic(), 0.0
    while time.monotonic() < start + seconds:
        for kind, body in _bodies(rng):
            status = server.ask(body, seconds=60)[0]
            ok = status == 200 or 400 <= status < 500
            score.add(ok, wrong=not ok, note=f"{kind}: {status}")
        time.sleep(1.0)
        if not early and time.monotonic() > start + seconds / 10:
            early = server.mib()
    for each in clients:
        each.stop()
        for kind, number in each.seen.items():
            if kind != "200":
                score.lose(f"{number} requests: {kind}")
    time.sleep(2.0)
    grown = server.mib() - early
    if grown > MOST_MIB:
        score.lose(f"it has grown by {grown:.0f} MiB")
    server.stop()
    answered = sum(each.seen["200"] for each in clients)
    return score.trial(f"{answered} answered beside these; {grown:+.0f} MiB since the first tenth")


class _Score:
    """Counts towards one `Trial`."""

    def __init__(self, name: str):
        self._name = name
        self._start = time.monotonic()
        self._note = ""
        self.tried = self._survived = self._lost = self._wrong = 0

    def add(self, ok: bool, *, wrong: bool = False, note: str) -> None:
        """One more was tried."""
        self.tried += 1
        self._survived += ok
        self._wrong += wrong
        self._lost += not ok and not wrong
        if not ok:
            self._note = self._note or note

    def lose(self, note: str) -> None:
        """One of those that were counted did harm all the same."""
        self._lost += 1
        self._survived -= 1
        self._note = self._note or note

    def trial(self, note: str = "") -> Trial:
        """What came of it."""
        seconds = round(time.monotonic() - self._start, 1)
        counts = (self.tried, self._survived, self._lost, self._wrong)
        return Trial(PART, self._name, *counts, seconds, self._note or note)
