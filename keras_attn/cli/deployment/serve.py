"""`keras-attn serve`: serve exported networks over TF Serving's REST and gRPC protocols."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from keras_attn.cli.library import import_library
from keras_attn.cli.paths import check_file

FILES = (
    "model_config_file",
    "batching_parameters_file",
    "monitoring_config_file",
    "ssl_config_file",
)

HELP = "serve exported networks over TF Serving's REST and gRPC protocols"

# Options of `ServerOptions` that are a number, a path or a switch: their flags bear their names.
NUMBERS = {
    "max_body_bytes": (int, "a longer request is refused"),
    "max_arriving_bytes": (int, "of all REST bodies that are not whole yet"),
    "max_pixels": (int, "that the images of one request may come to, decoded and resized"),
    "max_connections": (int, "that may be open, for each of the two protocols"),
    "timeout_keep_alive": (float, "seconds that a REST connection may idle"),
    "timeout_head": (float, "seconds for the head of a REST request, and for handshakes"),
    "timeout_body": (float, "seconds in which a body must begin, and an answer be taken up"),
    "min_body_rate": (float, "bytes a second of a REST body, on average"),
    "rest_api_timeout_in_ms": (int, "after which a REST request gets 504; 0 for never"),
    "grpc_socket_path": (str, "a Unix socket for gRPC, in addition to its port"),
    "grpc_channel_arguments": (str, "further arguments of gRPC: name=value,name=value"),
    "max_requests": (int, "that may be under way or waiting"),
    "request_threads": (int, "for each of the two protocols"),
    "file_system_poll_wait_seconds": (float, "between looks for new versions; 0 for one look"),
    "model_config_file_poll_wait_seconds": (float, "between readings of the file; 0 for one"),
    "max_num_load_retries": (int, "of a version that can't be loaded and has not changed"),
    "load_retry_interval_seconds": (float, "between them"),
    "saved_model_tags": (str, "of the graph to serve, with commas between; default: serve"),
    "num_request_iterations_for_warmup": (int, "how often each warm-up request is replayed"),
    "drain_seconds": (float, "that a stop waits for the requests that are under way"),
    "ssl_config_file": (str, "an SSLConfig in text format: TLS for both protocols"),
}
SWITCHES = {
    "allow_version_labels_for_unavailable_models": "a new label may name a version not loaded",
    "enable_per_model_batching_parameters": "a version's batching_params.pbtxt decides for it",
    "enable_serialization_as_tensor_content": "gRPC's replies hold tensor_content",
    "rest_api_enable_cors_support": "pages of other sites may ask",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("path", nargs="?", help="the model's base folder, as `export` wrote it")
    parser.add_argument("--model-config-file", help="instead of it: a models.config of TF Serving")
    parser.add_argument("--name", help="name in the URL; default: the folder's")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8501, help="of REST; default: %(default)s")
    parser.add_argument("--grpc-port", type=int, default=8500, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=1, help="processes; default: %(default)s")
    parser.add_argument("--no-grpc", action="store_true", help="REST only")
    parser.add_argument("--no-page", action="store_true", help="no page at / to try images on")
    parser.add_argument(
        "--no-reload-config",
        action="store_true",
        help="gRPC callers may not change which models are served",
    )
    parser.add_argument("--no-warmup", action="store_true", help="don't replay warm-up requests")
    parser.add_argument(
        "--enable-batching", action="store_true", help="run waiting requests as one batch"
    )
    parser.add_argument(
        "--batching-parameters-file", help="the same, by a file of BatchingParameters"
    )
    parser.add_argument(
        "--monitoring-config-file", help="a MonitoringConfig; default: metrics at TF Serving's path"
    )
    for name, (kind, text) in NUMBERS.items():
        parser.add_argument(_flag(name), type=kind, help=text)
    for name, text in SWITCHES.items():
        parser.add_argument(_flag(name), action="store_true", help=text)


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    from keras_attn._versions import find_versions
    from keras_attn.serving.process.ports import bind, check_port

    if (args.path is None) == (args.model_config_file is None):
        raise ValueError("Either `path` or `model_config_file` must be given, and not both")
    for name in FILES:
        if getattr(args, name) is not None:
            check_file(name, getattr(args, name))
    if args.path is not None and not args.path.startswith("file:") and not find_versions(args.path):
        hint = "which is no folder"
        if Path(args.path, "saved_model.pb").exists():
            hint = "a version folder itself: give its parent"
        elif Path(args.path).is_dir():
            hint = "which has none"
        raise ValueError(
            "`path` must be the base folder of a model, with a numbered version folder in it. "
            f"Received: path={args.path!r}, {hint}"
        )
    for name in ("port",) if args.no_grpc else ("port", "grpc_port"):
        check_port(name, getattr(args, name))
        if getattr(args, name):
            bind(args.host, getattr(args, name)).close()
    if args.workers < 1:
        raise ValueError(f"`workers` must be a positive integer. Received: workers={args.workers}")


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    # TensorFlow's own allocator keeps for good what one large request has taken.
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
    import_library()
    from keras_attn import serving
    from keras_attn.serving.batching.options import read_batching_options
    from keras_attn.serving.metrics import read_prometheus_path

    values = {name: getattr(args, name) for name in NUMBERS if getattr(args, name) is not None}
    values |= {name: True for name in SWITCHES if getattr(args, name)}
    values |= {
        "page": not args.no_page,
        "enable_model_warmup": not args.no_warmup,
        "reload_config": not args.no_reload_config,
    }
    if args.batching_parameters_file:
        values["batching"] = read_batching_options(args.batching_parameters_file)
    elif args.enable_batching:
        values["batching"] = serving.BatchingOptions()
    if args.monitoring_config_file:
        values["prometheus_path"] = read_prometheus_path(args.monitoring_config_file)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    left = serving.serve(
        args.path,
        name=args.name,
        model_config_file=args.model_config_file,
        host=args.host,
        port=args.port,
        grpc_port=None if args.no_grpc else args.grpc_port,
        options=serving.ServerOptions(**values),
        workers=args.workers,
    )
    if left:
        logging.shutdown()
        os._exit(1)  # Python would wait for the threads of requests that don't end


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
