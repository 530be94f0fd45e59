"""A server in a process of its own, its model, and clients that count what they are told."""

from __future__ import annotations

import collections
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SIDE = 8
START_SECONDS = 120


def save_model(folder: Path, scale: float = 1.0) -> None:
    """A SavedModel that takes images as numbers and as files, and by `scale` says which it is."""
    import tensorflow as tf

    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32, "image")])
        def serving_default(self, image):
            return {"scale": tf.reduce_mean(image, [1, 2, 3]) * 0.0 + scale}

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, "image")])
        def serve_uint8(self, image):
            return self.serving_default(tf.image.resize(image, (SIDE, SIDE), antialias=True))

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "image_bytes")])
        def serve_bytes(self, image_bytes):
            def one(data):
                image = tf.io.decode_image(data, channels=3, expand_animations=False)
                resized = tf.image.resize(image, (SIDE, SIDE), antialias=True)
                return tf.ensure_shape(resized, (SIDE, SIDE, 3))

            return self.serving_default(tf.map_fn(one, image_bytes, fn_output_signature=tf.float32))

    network = Network()
    names = ("serving_default", "serve_uint8", "serve_bytes")
    signatures = {name: getattr(network, name) for name in names}
    tf.saved_model.save(network, str(folder), signatures=signatures)


class ServerProcess:
    """`keras-attn serve` with free ports, and what it says.

    Args:
        base: The model's base folder.
        *flags: Of the command.
        files: How many file descriptors it may have. Default: as many as this process.
    """

    def __init__(self, base: Path, *flags: str, files: int | None = None):
        command = [sys.executable, "-m", "keras_attn.cli", "serve", str(base)]
        command += ["--port", "0", "--grpc-port", "0", *flags]
        if files is not None:
            command = ["bash", "-c", f'ulimit -n {files}; exec "$@"', "bash", *command]
        self.name = base.name
        self.process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.getcwd()},
        )
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        end = time.monotonic() + START_SECONDS
        while not (rest := self._said("serving at http://")) or not self._said("gRPC at "):
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError("the server does not start: " + "".join(self.log[-5:]))
            time.sleep(0.05)
        self.port = _port(rest, "http://")
        self.grpc_port = _port(self._said("gRPC at "), "gRPC at ")

    def _read(self) -> None:
        for line in self.process.stderr or ():
            self.log.append(line)

    def _said(self, text: str) -> str:
        return next((line.strip() for line in self.log if text in line), "")

    def mib(self) -> float:
        """What the process has in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def ask(self, body: bytes | None, *, path: str = ":predict", seconds: float = 30.0) -> Any:
        """The status and the answer of one request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            method = "GET" if body is None else "POST"
            connection.request(method, f"/v1/models/{self.name}{path}", body)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def stop(self, seconds: float = 60.0) -> tuple[int, float]:
        """Its exit status after SIGTERM, and how long that took; -9 where it had to be killed."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join()
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code, time.monotonic() - start


def _port(line: str, before: str) -> int:
    return int(re.search(re.escape(before) + r"[^ ]*?:(\d+)", line)[1])  # type: ignore[index]


IMAGE = json.dumps({"instances": [[[[0.1, 0.2, 0.3]] * SIDE] * SIDE]}).encode()


class Clients:
    """Clients that ask in a loop until they are stopped, and count what comes.

    Args:
        server: Whom they ask.
        count: How many.
        body: The body of each request.

    Attributes:
        seen: How often each status came; what broke is there by its exception's name.
        answers: How often each answer came.
    """

    def __init__(self, server: ServerProcess, count: int, body: bytes = IMAGE):
        self.seen: collections.Counter[str] = collections.Counter()
        self.answers: collections.Counter[bytes] = collections.Counter()
        self._server, self._body = server, body
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                status, answer = self._server.ask(self._body)
                self.seen[str(status)] += 1
                self.answers[answer] += 1
            except ConnectionRefusedError:
                self.seen["refused"] += 1
                time.sleep(0.05)
            except (OSError, http.client.HTTPException) as error:
                self.seen[type(error).__name__] += 1

    def stop(self) -> None:
        """Lets the requests under way end."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
