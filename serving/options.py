"""What can be set of a server beside its models and its ports."""

import dataclasses
import os

from keras_attn._checks import check_positive_int
from keras_attn.serving import metrics
from keras_attn.serving.batching.options import BatchingOptions
from keras_attn.serving.grpc.channel_arguments import read_channel_arguments
from keras_attn.serving.models.images import MAX_PIXELS

MAX_BODY_BYTES = 64 * 2**20  # 8 images of 224x224x3 are 25 MB of JSON


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """The options of a server. Those that TF Serving has too bear its names and defaults.

    Args:
        max_body_bytes: A longer request is refused: REST with 413, gRPC with RESOURCE_EXHAUSTED.
            It counts what a compressed body decompresses to.
        max_arriving_bytes: How much of all REST bodies that are not whole yet is kept.
        max_pixels: The pixels that the images of one request may come to, decoded and resized.
        max_connections: How many connections may be open, for each of the two protocols. Over
            REST, where one too many comes, the one that has been silent for the longest is closed.
        timeout_keep_alive: Seconds that a REST connection may be idle between two requests. More
            than proxies keep theirs, so that they don't send into one that is just being closed.
        timeout_head: Seconds in which the head of a REST request must arrive, and the handshake of
            TLS and of HTTP/2.
        timeout_body: Seconds in which its body must begin to, and in which a client must begin to
            read its answer.
        min_body_rate: Bytes a second that the body must have on average after that.
        rest_api_timeout_in_ms: Milliseconds after which a REST request is answered with 504; 0 for
            never.
        grpc_socket_path: A Unix socket for gRPC, in addition to its port.
        grpc_channel_arguments: Further arguments of gRPC, `"name=value,name=value"`.
        max_requests: How many predictions may be under way or waiting, for each of the two
            protocols; one more is refused with 429 or RESOURCE_EXHAUSTED. Health, status, metadata
            and metrics don't count.
        request_threads: How many requests are worked on at once, for each of the two protocols.
        file_system_poll_wait_seconds: How often the folders are looked at for versions; 0 for once.
        model_config_file_poll_wait_seconds: How often the `models.config` is read again; 0 for
            once.
        max_num_load_retries: How often a load that failed is tried again though nothing changed.
        load_retry_interval_seconds: How long to wait before.
        allow_version_labels_for_unavailable_models: Whether a new label may name a version that is
            not loaded, which a `models.config` with labels needs at the start.
        saved_model_tags: The tags of the graph that is served, with commas between: all of them,
            as a SavedModel may have several graphs.
        batching: How requests are gathered into batches. Default: each is run alone.
        enable_per_model_batching_parameters: Whether a version folder's `batching_params.pbtxt`
            decides about its batching, and those without one have none.
        enable_model_warmup: Whether the requests in a SavedModel's `assets.extra` are replayed.
        num_request_iterations_for_warmup: How often each.
        prometheus_path: Path of the metrics at the REST port; None for no metrics.
        enable_serialization_as_tensor_content: Whether gRPC's replies hold `tensor_content`.
        rest_api_enable_cors_support: Whether pages of other sites may ask.
        ssl_config_file: An SSLConfig in text format, for both protocols. Default: no TLS.
        reload_config: Whether whoever reaches the gRPC port may change which folders are served, by
            HandleReloadConfigRequest.
        page: Whether there is a page at `/` to try images on.
        drain_seconds: How long a stop waits for the requests that are under way.
    """

    max_body_bytes: int = MAX_BODY_BYTES
    max_arriving_bytes: int = 2**30
    max_pixels: int = MAX_PIXELS
    max_connections: int = 1024
    timeout_keep_alive: float = 75.0
    timeout_head: float = 20.0
    timeout_body: float = 20.0
    min_body_rate: float = 1000.0
    rest_api_timeout_in_ms: int = 30_000
    grpc_socket_path: str | os.PathLike[str] | None = None
    grpc_channel_arguments: str = ""
    max_requests: int = 256
    request_threads: int = 64
    file_system_poll_wait_seconds: float = 1.0
    model_config_file_poll_wait_seconds: float = 0.0
    max_num_load_retries: int = 5
    load_retry_interval_seconds: float = 60.0
    allow_version_labels_for_unavailable_models: bool = False
    saved_model_tags: str = "serve"
    batching: BatchingOptions | None = None
    enable_per_model_batching_parameters: bool = False
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 1
    prometheus_path: str | None = metrics.PATH
    enable_serialization_as_tensor_content: bool = False
    rest_api_enable_cors_support: bool = False
    ssl_config_file: str | os.PathLike[str] | None = None
    reload_config: bool = True
    page: bool = True
    drain_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name in (
            "max_body_bytes",
            "max_arriving_bytes",
            "max_pixels",
            "max_connections",
            "max_requests",
            "request_threads",
            "num_request_iterations_for_warmup",
        ):
            check_positive_int(name, getattr(self, name))
        for name in (
            "file_system_poll_wait_seconds",
            "model_config_file_poll_wait_seconds",
            "max_num_load_retries",
            "load_retry_interval_seconds",
            "drain_seconds",
            "min_body_rate",
            "rest_api_timeout_in_ms",
        ):
            value = getattr(self, name)
            if value < 0:
                raise ValueError(f"`{name}` must not be negative. Received: {name}={value!r}")
        for name in ("timeout_keep_alive", "timeout_head", "timeout_body"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"`{name}` must be above 0. Received: {name}={value!r}")
        read_channel_arguments(self.grpc_channel_arguments)
        if self.enable_per_model_batching_parameters and self.batching is None:
            raise ValueError(
                "`enable_per_model_batching_parameters` must come with `batching`, which has the "
                "threads. Received: batching=None"
            )
