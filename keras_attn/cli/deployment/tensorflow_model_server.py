"""`keras-attn tensorflow_model_server`: `serve` with the flags of TF Serving's own server.

A compose file or a script that starts a tensorflow_model_server works with it unchanged. A flag
whose name `serve` has too means the same here as soon as it has it.
"""

from __future__ import annotations

import argparse
import logging
from typing import Any

from keras_attn.cli.deployment import serve

HELP = "Serve with the flags of a tensorflow_model_server, as a script for that one gives them."
EXAMPLE = (
    "keras-attn tensorflow_model_server --rest_api_port=8501 --model_base_path=$PWD/served/digits"
)

# All flags of TF Serving with their defaults, whose types are theirs.
FLAGS: dict[str, bool | int | float | str] = {
    "port": 8500,
    "grpc_socket_path": "",
    "rest_api_port": 0,
    "rest_api_num_threads": 0,
    "rest_api_timeout_in_ms": 30_000,
    "rest_api_enable_cors_support": False,
    "enable_batching": False,
    "allow_version_labels_for_unavailable_models": False,
    "batching_parameters_file": "",
    "enable_per_model_batching_parameters": False,
    "model_config_file": "",
    "model_config_file_poll_wait_seconds": 0,
    "model_name": "default",
    "model_base_path": "",
    "num_load_threads": 0,
    "num_unload_threads": 0,
    "max_num_load_retries": 5,
    "load_retry_interval_micros": 60_000_000,
    "file_system_poll_wait_seconds": 1,
    "flush_filesystem_caches": True,
    "tensorflow_session_parallelism": 0,
    "tensorflow_session_config_file": "",
    "tensorflow_intra_op_parallelism": 0,
    "tensorflow_inter_op_parallelism": 0,
    "use_alts_credentials": False,
    "ssl_config_file": "",
    "platform_config_file": "",
    "per_process_gpu_memory_fraction": 0.0,
    "saved_model_tags": "serve",
    "grpc_channel_arguments": "",
    "grpc_max_threads": 0,
    "enable_model_warmup": True,
    "num_request_iterations_for_warmup": 0,
    "version": False,
    "monitoring_config_file": "",
    "remove_unused_fields_from_bundle_metagraph": True,
    "prefer_tflite_model": False,
    "num_tflite_pools": 0,
    "num_tflite_interpreters_per_pool": 1,
    "enable_signature_method_name_check": False,
    "xla_cpu_compilation_enabled": False,
    "xla_gpu_compilation_enabled": False,
    "enable_profiler": True,
    "thread_pool_factory_config_file": "",
    "mixed_precision": "",
    "skip_initialize_tpu": False,
    "enable_grpc_healthcheck_service": False,
    "enable_serialization_as_tensor_content": False,
}
# Those that mean something here, under another name or in another unit.
TRANSLATED = {
    "port": "Port of gRPC; 0 for a free one beside --grpc_socket_path.",
    "rest_api_port": "Port of REST; 0 hides it from other machines.",
    "rest_api_num_threads": "REST requests worked on at once; 0 for serve's default.",
    "grpc_max_threads": "gRPC requests worked on at once; 0 for serve's default.",
    "enable_batching": "Run waiting requests as one batch.",
    "batching_parameters_file": "File of BatchingParameters.",
    "model_config_file": "File of models, a models.config.",
    "model_name": "Name in the URL.",
    "model_base_path": "Base folder of the model.",
    "load_retry_interval_micros": "Microseconds between tries to load a version.",
    "enable_model_warmup": "Replay the warm-up requests of a SavedModel.",
    "version": "Print the version and exit.",
    "monitoring_config_file": "File with a MonitoringConfig.",
    "enable_grpc_healthcheck_service": "Is always there.",
}

PASSED_OVER = "Is passed over."
ABSENT = {
    "enable_profiler": "Is passed over: there is no profiler service.",
    "prefer_tflite_model": "Is passed over: only saved_model.pb is served, no model.tflite.",
    "use_alts_credentials": "Is passed over: TLS is by --ssl_config_file alone.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.allow_abbrev = False
    for name, default in FLAGS.items():
        text = TRANSLATED.get(name) or (serve.NUMBERS[name][1] if name in serve.NUMBERS else "")
        text = text or serve.SWITCHES.get(name) or ABSENT.get(name, PASSED_OVER)
        if default != "" and name != "version":
            text += f" Default: {str(default).lower()}."
        kind: Any = _boolean if isinstance(default, bool) else type(default)
        optional: dict[str, Any] = (
            {"nargs": "?", "const": True} if isinstance(default, bool) else {}
        )
        parser.add_argument(f"--{name}", type=kind, default=default, help=text, **optional)


def check(args: argparse.Namespace) -> None:
    """Checks the arguments."""
    if not args.version:
        translate(args)


def run(args: argparse.Namespace) -> None:
    """Runs the command."""
    if args.version:
        import tensorflow as tf

        from keras_attn._version import __version__

        print(f"TensorFlow ModelServer: keras-attn {__version__}")
        print(f"TensorFlow Library: {tf.__version__}")
        return
    ignored = passed_over(args)
    if ignored:
        logging.basicConfig(format="%(message)s", level=logging.INFO)
        logging.warning("flags that mean nothing here are passed over: %s", ", ".join(ignored))
    serve.run(translate(args))


def passed_over(args: argparse.Namespace) -> list[str]:
    """Returns the flags with another value than TF Serving's default that nothing here reads."""
    read = {*TRANSLATED, *serve.NUMBERS, *serve.SWITCHES}
    return [
        f"--{name}"
        for name, default in FLAGS.items()
        if name not in read and getattr(args, name) != default
    ]


def translate(args: argparse.Namespace) -> argparse.Namespace:
    """Returns the arguments of `serve`; ValueError where TF Serving would not start."""
    if not args.model_base_path and not args.model_config_file:
        raise ValueError("Both `--model_base_path` and `--model_config_file` are empty!")
    if not args.port and not args.grpc_socket_path:
        raise ValueError("At least one of `--port` and `--grpc_socket_path` must be set.")
    if args.batching_parameters_file and not args.enable_batching:
        raise ValueError("`--batching_parameters_file` is set without `--enable_batching`.")
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    result = parser.parse_args([])
    for name in FLAGS:
        if name in serve.NUMBERS or name in serve.SWITCHES:
            value = getattr(args, name)
            setattr(result, name, None if value == "" else value)
    # A negative number of seconds stops the polling, in TF Serving's own tests.
    for name in ("file_system_poll_wait_seconds", "model_config_file_poll_wait_seconds"):
        setattr(result, name, max(getattr(args, name), 0))
    result.num_request_iterations_for_warmup = args.num_request_iterations_for_warmup or None
    result.load_retry_interval_seconds = max(args.load_retry_interval_micros, 0) * 1e-6
    result.request_threads = max(args.rest_api_num_threads, args.grpc_max_threads) or None
    result.host = "0.0.0.0"
    result.port = args.rest_api_port if args.rest_api_port not in (0, args.port) else None
    result.grpc_port = args.port
    result.path = None if args.model_config_file else args.model_base_path
    result.name = None if args.model_config_file else args.model_name
    for name in ("model_config_file", "batching_parameters_file", "monitoring_config_file"):
        setattr(result, name, getattr(args, name) or None)
    result.enable_batching = args.enable_batching
    result.no_warmup = not args.enable_model_warmup
    result.no_page = True
    return result


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false. Received: {text}")
    return text == "true"
