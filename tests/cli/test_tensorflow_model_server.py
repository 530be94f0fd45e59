"""A command line of TF Serving's starts ours: each of its flags is known and means the same."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from helpers import serving_models
from helpers.paths import ROOT
from keras_attn import serving
from keras_attn.cli import main
from keras_attn.serving import ServerOptions

BASE = "tensorflow_model_server --model_base_path=/models/m"


@pytest.fixture
def served(monkeypatch):
    """What `serve` is called with."""
    calls = []
    monkeypatch.setattr(
        serving, "serve", lambda path, **named: calls.append({"path": path, **named})
    )
    return calls


def test_its_defaults(served):
    assert main(BASE.split()) == 0
    assert served == [
        {
            "path": "/models/m",
            "name": "default",
            "model_config_file": None,
            "host": "0.0.0.0",
            "port": None,
            "grpc_port": 8500,
            "options": ServerOptions(page=False),
            "workers": 1,
        }
    ]


def test_its_spellings(served, tmp_path):
    parameters = tmp_path / "batching.txt"
    parameters.write_text("max_batch_size { value: 7 }")
    command = f"{BASE} --port=9000 --rest_api_port 8501 --model_name=m --enable_batching"
    command += f" --batching_parameters_file={parameters} --enable_model_warmup=false"
    command += " --saved_model_tags=serve,gpu --max_num_load_retries=2 --grpc_max_threads=3"
    command += " --load_retry_interval_micros=1500000 --rest_api_num_threads=9"
    command += " --file_system_poll_wait_seconds=-1 --num_request_iterations_for_warmup=0"
    command += " --rest_api_enable_cors_support=true --enable_serialization_as_tensor_content"
    assert main(command.split()) == 0
    [call] = served
    assert (call["port"], call["grpc_port"], call["name"]) == (8501, 9000, "m")
    options = call["options"]
    assert options.batching.max_batch_size == 7
    assert (options.saved_model_tags, options.max_num_load_retries) == ("serve,gpu", 2)
    assert (options.load_retry_interval_seconds, options.request_threads) == (1.5, 9)
    assert (options.file_system_poll_wait_seconds, options.enable_model_warmup) == (0, False)
    assert options.rest_api_enable_cors_support
    assert options.enable_serialization_as_tensor_content


def test_a_models_config_goes_before_a_model(served):
    assert main([*BASE.split(), "--model_config_file=/m.config", "--model_name=n"]) == 0
    assert [served[0][name] for name in ("path", "name", "model_config_file")] == [
        None,
        None,
        "/m.config",
    ]


def test_flags_that_mean_nothing_here_are_named_once(served, caplog):
    command = f"{BASE} --prefer_tflite_model=true --num_load_threads=4 --enable_profiler=false"
    command += " --flush_filesystem_caches=true --per_process_gpu_memory_fraction=0.5"
    assert main(command.split()) == 0
    assert [record.message for record in caplog.records] == [
        "flags that mean nothing here are passed over: --num_load_threads, "
        "--per_process_gpu_memory_fraction, --prefer_tflite_model, --enable_profiler"
    ]
    assert len(served) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("", 1, "Both `--model_base_path` and `--model_config_file` are empty!"),
        ("--model_base_path=/m --port=0", 1, "At least one of `--port` and `--grpc_socket_path`"),
        (
            "--model_base_path=/m --batching_parameters_file=b",
            1,
            "`--batching_parameters_file` is set without `--enable_batching`",
        ),
        ("--model_base_path=/m --enable_batching=1", 2, "must be true or false. Received: 1"),
        ("--model_base_path=/m --prot=1", 2, "has no flag --prot; did you mean --port?"),
        ("--model_base=/m", 2, "has no flag --model_base; did you mean --model_base_path?"),
        ("--model_base_path=/m --port=a", 2, "`--port` must be a whole number. Received: a"),
    ],
)
def test_mistakes(served, capsys, arguments, code, message):
    try:
        found = main(["tensorflow_model_server", *arguments.split()])
    except SystemExit as end:
        found = end.code
    assert found == code
    assert message in capsys.readouterr().err
    assert served == []


def test_a_wrong_models_config_in_its_words(tmp_path, capsys):
    config = tmp_path / "models.config"
    config.write_text("improperly formatted file contents\n")
    assert main(["tensorflow_model_server", f"--model_config_file={config}"]) == 1
    message = "Error parsing text-format tensorflow.serving.ModelServerConfig: 1:"
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_both_protocols(tmp_path):
    serving_models.save_doubler(tmp_path / "m" / "1")
    with socket.create_server(("", 0)) as one, socket.create_server(("", 0)) as two:
        rest, rpc = (s.getsockname()[1] for s in (one, two))
    command = [sys.executable, "-m", "keras_attn.cli", "tensorflow_model_server", f"--port={rpc}"]
    command += [f"--rest_api_port={rest}", f"--model_base_path={tmp_path}/m"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment)
    try:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "default"
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([3])))
        with grpc.insecure_channel(f"127.0.0.1:{rpc}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            reply = stub.Predict(request, timeout=120, wait_for_ready=True)
        assert reply.outputs["y"].float_val == [6.0]
        url = f"http://127.0.0.1:{rest}/v1/models/default:predict"
        with urllib.request.urlopen(url, b'{"instances": [3]}', timeout=30) as answer:
            assert json.load(answer) == {"predictions": [6.0]}
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
