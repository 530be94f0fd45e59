"""`keras-attn serve`: serve exported networks over TF Serving's REST and gRPC protocols."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_attn.cli.library import import_library
from keras_attn.cli.paths import check_file
from keras_attn.cli.sources import NETWORKS, open_network

if TYPE_CHECKING:
    from keras_attn.classifiers.kinds import Source

FILES = (
    "model_config_file",
    "batching_parameters_file",
    "monitoring_config_file",
    "ssl_config_file",
)

HELP = "Serve exported networks over TF Serving's REST and gRPC protocols."
EXAMPLE = "keras-attn serve served/digits --port 8501"

# Options of `ServerOptions` that are a number, a path or a switch: their flags bear their names.
# Name -> type, what it is, and the default.
NUMBERS: dict[str, tuple[type, str, object]] = {
    "max_body_bytes": (int, "Bytes of the longest request that is taken.", 64 * 2**20),
    "max_arriving_bytes": (int, "Bytes that all REST bodies may have that arrive.", 2**30),
    "max_pixels": (int, "Pixels of all images of a request, decoded and resized.", 2**26),
    "max_connections": (int, "Connections that may be open, for each protocol.", 1024),
    "timeout_keep_alive": (float, "Seconds that a REST connection may idle.", 75.0),
    "timeout_head": (float, "Seconds for the head of a request and for handshakes.", 20.0),
    "timeout_body": (float, "Seconds in which a body, or reading an answer, must begin.", 20.0),
    "min_body_rate": (float, "Bytes a second of a REST body, on average.", 1000.0),
    "rest_api_timeout_in_ms": (int, "Milliseconds until REST gives 504; 0 for never.", 30_000),
    "grpc_socket_path": (str, "Unix socket for gRPC, in addition to its port.", None),
    "grpc_channel_arguments": (str, "More arguments of gRPC: name=value,name=value.", ""),
    "max_requests": (int, "Predictions that may be under way or waiting.", 256),
    "request_threads": (int, "Requests worked on at once, for each protocol.", 64),
    "file_system_poll_wait_seconds": (float, "Seconds between looks for versions; 0: once.", 1.0),
    "model_config_file_poll_wait_seconds": (
        float,
        "Seconds between readings of the file of models; 0: once.",
        0.0,
    ),
    "max_num_load_retries": (int, "How often a load that failed is tried again.", 5),
    "load_retry_interval_seconds": (float, "Seconds between tries to load.", 60.0),
    "saved_model_tags": (str, "Tags of the graph to serve, with commas between.", "serve"),
    "num_request_iterations_for_warmup": (int, "How often a warm-up request is replayed.", 1),
    "drain_seconds": (float, "Seconds that a stop waits for requests under way.", 30.0),
    "ssl_config_file": (str, "File with an SSLConfig: TLS for both protocols.", None),
}
SWITCHES = {
    "allow_version_labels_for_unavailable_models": "Let a new label name a version not loaded.",
    "enable_per_model_batching_parameters": "Let a version's batching_params.pbtxt decide for it.",
    "enable_serialization_as_tensor_content": "Let gRPC's replies hold tensor_content.",
    "rest_api_enable_cors_support": "Let pages of other sites ask.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.set_defaults(network=None)  # to be exported first, where the path is none that was
    parser.add_argument(
        "path",
        nargs="?",
        metavar="SOURCE",
        help="Base folder of the model, as `export` wrote it; or a trained network to export and "
        f"serve: {NETWORKS}. Or else give --model-config-file.",
    )
    parser.add_argument(
        "--model-config-file",
        metavar="FILE",
        help="A models.config of TF Serving, with several models, in place of the folder.",
    )
    parser.add_argument("--name", help="Name in the URL. By default that of the folder.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="Address to listen at. Default: %(default)s."
    )
    for flag, port, text in (
        ("--port", 8501, "Port of REST; 0 takes a free one."),
        ("--grpc-port", 8500, "Port of gRPC; 0 takes a free one."),
        ("--workers", 1, "Number of processes that serve."),
    ):
        parser.add_argument(
            flag, type=int, default=port, metavar="N", help=f"{text} Default: {port}."
        )
    for flag, text in (
        ("--no-grpc", "Serve REST only."),
        ("--no-page", "Have no page at / to try images on."),
        ("--no-reload-config", "Don't let gRPC callers change which models are served."),
        ("--no-warmup", "Don't replay the warm-up requests of a SavedModel."),
        ("--enable-batching", "Run waiting requests as one batch, with TF Serving's defaults."),
    ):
        parser.add_argument(flag, action="store_true", help=text)
    parser.add_argument(
        "--batching-parameters-file",
        metavar="FILE",
        help="File of BatchingParameters; it turns on batching, too.",
    )
    parser.add_argument(
        "--monitoring-config-file",
        metavar="FILE",
        help="File with a MonitoringConfig. By default metrics are at TF Serving's path.",
    )
    for name, (kind, text, default) in NUMBERS.items():
        said = f" Default: {default}." if default not in (None, "") else " By default none."
        parser.add_argument(
            _flag(name), type=kind, metavar="TEXT" if kind is str else "N", help=text + said
        )
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
        args.network = _network(args.path)
    for name in ("port",) if args.no_grpc else ("port", "grpc_port"):
        check_port(name, getattr(args, name))
        if getattr(args, name):
            bind(args.host, getattr(args, name)).close()
    for name, (kind, _, _) in NUMBERS.items():
        value = getattr(args, name)
        if kind is not str and value is not None and value < 0:
            raise ValueError(f"`{name}` must not be negative. Received: {name}={value}")
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
    with contextlib.ExitStack() as until_it_ends:
        if args.network is not None:
            folder = until_it_ends.enter_context(tempfile.TemporaryDirectory())
            name = args.name or Path(args.network.place).stem
            args.path = _exported(args.network, name, folder)
        left = _serve(args, serving.ServerOptions(**values))
    if left:
        logging.shutdown()
        os._exit(1)  # Python would wait for the threads of requests that don't end


def _serve(args: argparse.Namespace, options: Any) -> int:
    """Serves until a signal ends it; gives how many requests were still under way."""
    from keras_attn import serving

    return serving.serve(
        args.path,
        name=args.name,
        model_config_file=args.model_config_file,
        host=args.host,
        port=args.port,
        grpc_port=None if args.no_grpc else args.grpc_port,
        options=options,
        workers=args.workers,
    )


def _network(path: str) -> Source:
    """The network to export, where the path is no base folder."""
    from keras_attn.classifiers.kinds import find_source

    rule = (
        "`path` must be the base folder of a model, with a numbered version folder in it, or a "
        "trained network"
    )
    if Path(path, "saved_model.pb").exists():
        raise ValueError(
            f"{rule}. Received: path={path!r}, a version folder itself: give its parent"
        )
    try:
        source = find_source(path)
    except (ValueError, FileNotFoundError) as error:
        hint = "which has none" if Path(path).is_dir() else "which is neither"
        raise ValueError(f"{rule}. Received: path={path!r}, {hint}") from error
    if not source.is_network:
        raise ValueError(f"{rule}. Received: path={path!r}, an export that no server loads")
    return source


def _exported(source: Source, name: str, folder: str) -> str:
    """A base folder that a network was exported into, for as long as it is served."""
    from keras_attn.cli.deployment.export import export_network

    base = os.path.join(folder, name)
    export_network(open_network(source), base)
    return base


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
