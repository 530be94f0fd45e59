"""Several processes behind one address: one of them may end, and nobody notices."""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import model_management_pb2, predict_pb2

from helpers import serving_models
from helpers.paths import ROOT
from keras_attn.serving import serve

# gRPC cancels a call that reaches a connection in the moment in which its server ends, unheard;
# a client's own policy of retries sends it again, to another worker.
RETRY = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        ]
    }
)


class Log:
    """What a process has said so far."""

    def __init__(self, path):
        self.path = path

    def find(self, pattern, count=1, seconds=120):
        end = time.monotonic() + seconds
        while True:
            found = re.findall(pattern, self.path.read_text())
            if len(found) >= count:
                return found
            assert time.monotonic() < end, self.path.read_text()
            time.sleep(0.1)


@pytest.mark.slow
def test_a_worker_that_ends_loses_nothing_and_is_replaced(tmp_path):
    base = tmp_path / "m"
    serving_models.save_doubler(base / "1")
    log = Log(tmp_path / "log")
    with open(log.path, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "keras_attn.cli", "serve", str(base), "--workers", "2"]
            + ["--port", "0", "--grpc-port", "0"],
            stderr=file,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)},
        )
    ((url, address),) = log.find(r"serving at (http://\S+): m, gRPC at (\S+)")
    pids = [int(pid) for pid in log.find(r"worker (\d+) is ready")]
    assert len(set(pids)) == 2
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([3])))
    stop = time.monotonic() + 120

    def over_rest():
        count = 0
        while time.monotonic() < stop:
            body = json.dumps({"instances": [count]}).encode()
            with urllib.request.urlopen(url + "/v1/models/m:predict", body, timeout=30) as reply:
                assert json.load(reply) == {"predictions": [2.0 * count]}
            count += 1
        return count

    def over_grpc():
        count = 0
        with grpc.insecure_channel(address, [("grpc.service_config", RETRY)]) as channel:
            predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            while time.monotonic() < stop:
                reply = predict(request.SerializeToString(), timeout=30, wait_for_ready=True)
                outputs = predict_pb2.PredictResponse.FromString(reply).outputs
                assert outputs["y"].float_val == [6.0]
                count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(client) for client in [over_rest, over_grpc] * 3]
        time.sleep(1)
        os.kill(pids[0], signal.SIGTERM)
        log.find(r"worker (\d+) is ready", count=3)
        time.sleep(0.5)
        stop = time.monotonic()
        counts = [client.result(60) for client in clients]
    assert min(counts) > 0

    with urllib.request.urlopen(url + "/monitoring/prometheus/metrics") as reply:
        text = reply.read().decode()
    (count,) = re.findall(r'request_count{model_name="m",status="OK"} (\d+)', text)
    assert int(count) == sum(counts)  # of all workers, those that have ended too

    reload = model_management_pb2.ReloadConfigRequest()
    reload.config.model_config_list.config.add()
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/tensorflow.serving.ModelService/HandleReloadConfigRequest")
        with pytest.raises(grpc.RpcError, match="from its file alone"):
            call(reload.SerializeToString(), timeout=30)

    children = [int(pid) for pid in log.find(r"worker (\d+) is ready")][1:]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert all(not pathlib.Path(f"/proc/{pid}").exists() for pid in children)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url)
    assert "Traceback" not in log.path.read_text()


def test_wrong_numbers_of_workers(tmp_path):
    (tmp_path / "m" / "1").mkdir(parents=True)
    for wrong in (0, "2", True):
        with pytest.raises(ValueError, match="`workers` must be a positive integer"):
            serve(tmp_path / "m", port=0, grpc_port=0, workers=wrong)
