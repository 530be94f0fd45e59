"""TF Serving's metrics in the text format of Prometheus, under TF Serving's names and labels."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import prometheus_client
from prometheus_client import multiprocess

from keras_attn.serving.protos import MonitoringConfig, read_text_proto

# Names the folder in which prometheus_client keeps the numbers of several processes.
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
PATH = "/monitoring/prometheus/metrics"
CONTENT_TYPE = "text/plain"


def _exponential(scale: float, growth: float, count: int) -> list[float]:
    """TF Serving's buckets, in the six digits that it writes."""
    return [float(f"{scale * growth**power:.6g}") for power in range(count)]


MICROSECONDS = _exponential(10, 1.8, 33)
QUEUE_MICROSECONDS = _exponential(100, 1.2, 52)
SIZES = _exponential(1, 2, 14)


class Metrics:
    """The numbers of one server. Latencies are in microseconds, as there."""

    def __init__(self) -> None:
        self._registry = prometheus_client.CollectorRegistry()
        self._names: dict[str, str] = {}
        self.request_count = self._counter("request_count", "model_name", "status")
        self.request_latency = self._histogram(
            "request_latency", MICROSECONDS, "model_name", "API", "entrypoint"
        )
        self.runtime_latency = self._histogram(
            "runtime_latency", MICROSECONDS, "model_name", "API", "runtime"
        )
        self.example_counts = self._histogram("request_example_counts", SIZES, "model")
        self.example_count_total = self._counter("request_example_count_total", "model")
        self.warmup_latency = self._histogram(
            "model_warmup_latency", MICROSECONDS, "model_path", "status"
        )
        self.queuing_latency = self._histogram(
            "batching_session/queuing_latency", QUEUE_MICROSECONDS, "thread_pool_name"
        )
        self.input_batch_size = self._histogram("batching_session/input_batch_size", SIZES)
        self.processed_batch_size = self._histogram("batching_session/processed_batch_size", SIZES)
        self.padding_size = self._histogram(
            "batching_session/padding_size", SIZES, "execution_batch_size"
        )
        self.wrapped_run_count = self._counter("batching_session/wrapped_run_count")

    @contextmanager
    def runtime(self, model_name: str, api: str) -> Iterator[None]:
        """Notes how long the network runs."""
        start = time.perf_counter()
        yield
        microseconds = (time.perf_counter() - start) * 1e6
        self.runtime_latency.labels(model_name, api, "TF1").observe(microseconds)

    def count(self, model_name: str, status: str) -> None:
        """Notes a request: `"OK"` or the name of its error's code."""
        self.request_count.labels(model_name, status).inc()

    def examples(self, model_name: str, count: int) -> None:
        """Notes how many tf.Examples a request held."""
        self.example_counts.labels(model_name).observe(count)
        self.example_count_total.labels(model_name).inc(count)

    def value(self, name: str) -> float:
        """Returns the first number of a counter by TF Serving's name of it, else 0."""
        full = name.replace("/", ":")
        for metric in self._registry.collect():
            if self._names[metric.name] == full and metric.samples:
                return metric.samples[0].value
        return 0.0

    def page(self) -> bytes:
        """Returns all of them as text; those of all workers together where there are several.

        `prometheus_client` would end each counter's name in `_total`; TF Serving doesn't.
        """
        lines = []
        registry = self._registry
        if MULTIPROCESS in os.environ:
            registry = prometheus_client.CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        for metric in registry.collect():
            full = self._names[metric.name]
            lines.append(f"# TYPE {full} {metric.type}")
            for sample in metric.samples:
                if sample.name.endswith("_created"):
                    continue
                name = full if metric.type == "counter" else sample.name
                labels = ",".join(f'{key}="{_label(key, v)}"' for key, v in sample.labels.items())
                lines.append(f"{name}{{{labels}}} {sample.value:.15g}")
        return ("\n".join(lines) + "\n").encode()

    def _counter(self, name: str, *labels: str) -> prometheus_client.Counter:
        full = self._full(name)
        return prometheus_client.Counter(full, name, labels, registry=self._registry)

    def _histogram(
        self, name: str, buckets: list[float], *labels: str
    ) -> prometheus_client.Histogram:
        full = self._full(name)
        return prometheus_client.Histogram(
            full, name, labels, buckets=buckets, registry=self._registry
        )

    def _full(self, name: str) -> str:
        full = f":tensorflow:serving:{name.replace('/', ':')}"
        self._names[full.removesuffix("_total")] = full  # prometheus_client's name of a counter
        return full


def read_prometheus_path(path: str | os.PathLike[str]) -> str | None:
    """Returns where a MonitoringConfig file wants the metrics; None where it wants none."""
    config = read_text_proto(path, MonitoringConfig()).prometheus_config
    return (config.path or PATH) if config.enable else None


def _label(key: str, value: str) -> str:
    if key == "le" and value != "+Inf":
        return f"{float(value):.6g}"  # 10, where prometheus_client has 10.0
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
