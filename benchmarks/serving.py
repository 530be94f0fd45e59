"""What the local server costs, and what it bears.

    python benchmarks/serving.py [--parts overhead load batching switch stop] [--out serving.csv]

- `overhead`: one client, batches of 8 at 224x224 to a ResNet-50: what a request takes over the time
  that the network itself runs, for gRPC, for JPEGs in base64 over REST, and for floats in JSON.
- `load`: 1, 8 and 32 clients with one image each: throughput, percentiles, and the share of the
  time that is not the network's.
- `batching`: ResNet-20 on 32x32, single images from 32 threads, at the queue: with it and without.
- `switch` and `stop`: clients without a pause while versions take over, and while one worker of two
  is told to end: how many requests are lost.

The server is a process of its own, but on the same machine as the clients. Network time is the
server's own `runtime_latency`; the rest is everything else on the way, the client's part included.
"""

from __future__ import annotations

import argparse
import base64
import concurrent.futures
import contextlib
import io
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measuring import save

# A call that reaches a worker in the moment of its end is cancelled unheard: clients send it again.
RETRY = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]}}]})  # fmt: skip
PARTS = ("overhead", "load", "batching", "switch", "stop")
CLIENTS = (1, 8, 32)
Send = Callable[[], None]


def export(model_name: str, folder: Path, size: int) -> Path:
    """Writes a network with random weights; floats and JPEGs in, as an export's signatures are."""
    import keras
    import tensorflow as tf

    from keras_attn.applications import get_model

    model = get_model(model_name)()

    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model(image, training=False)}

    def classify_files(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        def one(data: tf.Tensor) -> tf.Tensor:
            image = tf.io.decode_image(data, channels=3, expand_animations=False)
            return tf.ensure_shape(tf.image.resize(image, (size, size)) / 255.0, (size, size, 3))

        images = tf.map_fn(one, image_bytes, fn_output_signature=tf.float32)
        return {"scores": tf.math.top_k(model(images, training=False), 5).values}

    archive = keras.export.ExportArchive()
    archive.track(model)
    spec = tf.TensorSpec((None, size, size, 3), tf.float32, name="image")
    archive.add_endpoint("serving_default", classify, input_signature=[spec])
    spec = tf.TensorSpec((None,), tf.string, name="image_bytes")
    archive.add_endpoint("serve_bytes", classify_files, input_signature=[spec])
    archive.write_out(str(folder), verbose=False)
    return folder


class Server:
    """`keras-attn serve` in a process of its own."""

    def __init__(self, base: Path, *options: str):
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "keras_attn.cli", "serve", str(base), "--port", "0"]
            + ["--grpc-port", "0", "--file-system-poll-wait-seconds", "0.2", *options],
            stderr=self.log,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self.root = self.wait_for(r"serving at (https?://[^/:]+:\d+)")
        self.url = f"{self.root}/v1/models/{base.name}"
        self.grpc_address = self.wait_for(r"gRPC at (\S+)")

    def wait_for(self, pattern: str, seconds: float = 180) -> str:
        """The group of a pattern once it is in the log."""
        end = time.monotonic() + seconds
        while True:
            self.log.seek(0)
            if match := re.search(pattern, text := self.log.read()):
                return match[1]
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server does not say {pattern!r} but: {text}")
            time.sleep(0.05)

    def network_seconds(self) -> float:
        """How long the network has run, over all requests."""
        with urllib.request.urlopen(self.root + "/monitoring/prometheus/metrics") as reply:
            sums = re.findall(r"runtime_latency_sum{.*?} (\S+)", reply.read().decode())
        return sum(map(float, sums)) * 1e-6

    def close(self) -> None:
        """Ends it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()


@contextlib.contextmanager
def served(base: Path, *options: str) -> Iterator[Server]:
    """A running server."""
    server = Server(base, *options)
    try:
        yield server
    finally:
        server.close()


def jpeg(size: int) -> bytes:
    """A picture that compresses as photographs do: smooth, with some noise."""
    import PIL.Image

    generator = np.random.default_rng(0)
    coarse = PIL.Image.fromarray(generator.integers(0, 256, (9, 9, 3), np.uint8))
    pixels = np.asarray(coarse.resize((size, size), PIL.Image.Resampling.BICUBIC), np.int16)
    noisy = np.clip(pixels + generator.integers(-8, 9, pixels.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(noisy).save(file, "JPEG", quality=90)
    return file.getvalue()


def senders(server: Server, name: str, batch: int, size: int) -> dict[str, tuple[Send, int]]:
    """Case -> what sends one request, and how many bytes that is."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    images = np.random.default_rng(1).random((batch, size, size, 3), np.float32)
    data = jpeg(size)

    def message(signature: str, key: str, value: np.ndarray) -> predict_pb2.PredictRequest:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = name
        request.model_spec.signature_name = signature
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        return request

    channel = grpc.insecure_channel(server.grpc_address, [("grpc.service_config", RETRY)])
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def over_grpc(request: predict_pb2.PredictRequest) -> tuple[Send, int]:
        def send() -> None:
            stub.Predict(request, timeout=600, wait_for_ready=True)

        return send, request.ByteSize()

    def over_rest(request: dict) -> tuple[Send, int]:
        body = json.dumps(request).encode()

        def send() -> None:
            with urllib.request.urlopen(server.url + ":predict", body, timeout=600) as reply:
                json.load(reply)

        return send, len(body)

    rows = [{"b64": base64.b64encode(data).decode()}] * batch
    return {
        "gRPC, floats": over_grpc(message("", "image", images)),
        "gRPC, JPEG": over_grpc(
            message("serve_bytes", "image_bytes", np.array([data] * batch, object))
        ),
        "REST, JPEG in b64": over_rest({"signature_name": "serve_bytes", "instances": rows}),
        "REST, floats in JSON": over_rest({"instances": images.tolist()}),
    }


def load(server: Server, send: Send, *, clients: int, requests: int) -> dict:
    """Sends from several threads, each without a pause."""
    latencies: list[float] = []
    failures: list[Exception] = []

    def one(_: int) -> None:
        start = time.perf_counter()
        try:
            send()
        except Exception as error:
            failures.append(error)
        latencies.append(time.perf_counter() - start)

    for _ in range(2):
        send()
    before = server.network_seconds()
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(requests)))
    wall = time.perf_counter() - start
    network = server.network_seconds() - before
    spent = sum(latencies)
    percentiles = np.percentile(latencies, [50, 95, 99]) * 1e3
    return {
        "clients": clients,
        "requests": requests,
        "failed": len(failures),
        "images_s": requests / wall,
        **dict(zip(("p50_ms", "p95_ms", "p99_ms"), percentiles, strict=True)),
        "not_network": 1 - network / spent,
        "over_network": (spent - network) / network,
    }


def measure_overhead(folder: Path, rounds: int) -> Iterator[dict]:
    """A ResNet-50 at batch 8, one client."""
    base = folder / "resnet50"
    if not base.exists():
        export("resnet50", base / "1", 224)
    with served(base) as server:
        for case, (send, size) in senders(server, "resnet50", 8, 224).items():
            row = load(server, send, clients=1, requests=rounds)
            row["images_s"] *= 8
            yield {"part": "overhead", "case": case, "batch": 8, "body_mb": size / 1e6, **row}


def measure_load(folder: Path, rounds: int) -> Iterator[dict]:
    """The same network, one image a request, several clients."""
    base = folder / "resnet50"
    if not base.exists():
        export("resnet50", base / "1", 224)
    with served(base) as server:
        for clients in CLIENTS:
            for case, (send, size) in senders(server, "resnet50", 1, 224).items():
                row = load(server, send, clients=clients, requests=max(2 * clients, 4 * rounds))
                yield {"part": "load", "case": case, "batch": 1, "body_mb": size / 1e6, **row}


def measure_batching(folder: Path, rounds: int) -> Iterator[dict]:
    """At the queue: no network, no protocol, by turns."""
    from keras_attn.serving.batching.options import BatchingOptions
    from keras_attn.serving.batching.scheduler import BatchScheduler
    from keras_attn.serving.metrics import Metrics
    from keras_attn.serving.models.session import ModelSession

    session = ModelSession(export("resnet20_cifar", folder / "resnet20" / "1", 32))
    signature = session.signatures["serving_default"]
    (feed,), (fetch,) = signature.inputs.values(), signature.outputs.values()
    image = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    sizes = (1, 2, 4, 8, 16, 32)
    scheduler = BatchScheduler(
        BatchingOptions(max_batch_size=32, allowed_batch_sizes=sizes, max_enqueued_batches=100),
        metrics=Metrics(),
    )
    for size in sizes:
        session.run({feed.name: np.repeat(image, size, 0)}, [fetch.name])
    runs = {"single": session.run, "queue": scheduler.wrap(session.run)}
    threads, requests = 32, 1024
    speeds: dict[str, list[float]] = {case: [] for case in runs}
    latencies: dict[str, list[float]] = {case: [] for case in runs}
    with scheduler, concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for _ in range(max(rounds // 2, 3)):
            for case, run in runs.items():

                def one(_: int, run=run, case=case) -> None:
                    start = time.perf_counter()
                    run({feed.name: image}, [fetch.name])
                    latencies[case].append(time.perf_counter() - start)

                start = time.perf_counter()
                list(pool.map(one, range(requests)))
                speeds[case].append(requests / (time.perf_counter() - start))
    ratio = statistics.median(
        queue / single for queue, single in zip(speeds["queue"], speeds["single"], strict=True)
    )
    for case in runs:
        percentiles = np.percentile(latencies[case], [50, 95, 99]) * 1e3
        yield {
            "part": "batching",
            "case": f"{case}, {ratio:.2f} times single" if case == "queue" else case,
            "clients": threads,
            "batch": 1,
            "requests": len(latencies[case]),
            "failed": 0,
            "images_s": statistics.median(speeds[case]),
            **dict(zip(("p50_ms", "p95_ms", "p99_ms"), percentiles, strict=True)),
        }


def under_load(server: Server, name: str, disturb: Callable[[], None]) -> dict:
    """Eight clients, half over each protocol, from before the disturbance until after it."""
    cases = senders(server, name, 1, 32)
    stop = threading.Event()
    latencies: list[float] = []
    failures: list[Exception] = []

    def client(send: Send) -> None:
        while not stop.is_set():
            start = time.perf_counter()
            try:
                send()
            except Exception as error:
                failures.append(error)
            latencies.append(time.perf_counter() - start)

    kinds = ["gRPC, floats", "REST, JPEG in b64"] * 4
    threads = [threading.Thread(target=client, args=[cases[kind][0]]) for kind in kinds]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(2)
    disturb()
    time.sleep(2)
    stop.set()
    for thread in threads:
        thread.join()
    for error in failures[:3]:
        print("lost:", repr(error)[:300])
    percentiles = np.percentile(latencies, [50, 95, 99]) * 1e3
    return {
        "clients": len(threads),
        "batch": 1,
        "requests": len(latencies),
        "failed": len(failures),
        "images_s": len(latencies) / (time.perf_counter() - start),
        **dict(zip(("p50_ms", "p95_ms", "p99_ms"), percentiles, strict=True)),
    }


def measure_switch(folder: Path, rounds: int) -> Iterator[dict]:
    """Versions take over, one after the other."""
    base = folder / "switched"
    export("resnet20_cifar", base / "1", 32)
    versions = range(2, 2 + min(rounds, 5))

    def disturb() -> None:
        for version in versions:
            shutil.copytree(base / "1", folder / f"switched-{version}")
            os.replace(folder / f"switched-{version}", base / str(version))
            server.wait_for(f"(version {version - 1} of switched is unloaded)")

    with served(base) as server:
        row = under_load(server, "switched", disturb)
    yield {"part": "switch", "case": f"{len(versions)} new versions", **row}


def measure_stop(folder: Path, rounds: int) -> Iterator[dict]:
    """One worker of two is told to end."""
    base = folder / "stopped"
    export("resnet20_cifar", base / "1", 32)
    with served(base, "--workers", "2") as server:
        pid = int(server.wait_for(r"worker (\d+) is ready"))

        def disturb() -> None:
            os.kill(pid, signal.SIGTERM)
            server.wait_for(rf"(?s)worker {pid} has ended.*?(worker \d+ is ready)")

        row = under_load(server, "stopped", disturb)
    yield {"part": "stop", "case": "one worker of two", **row}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default="serving.csv", help="default: %(default)s")
    arguments = parser.parse_args()

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in arguments.parts:
            for row in globals()[f"measure_{part}"](Path(folder), arguments.rounds):
                row = {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
                print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
                rows.append(row)
                save(arguments.out, rows, "tensorflow")


if __name__ == "__main__":
    main()
