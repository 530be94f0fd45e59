"""What a server does beside answering: configuration, warm-up, batching, bounds, TLS, stopping."""

from __future__ import annotations

import base64
import concurrent.futures
import http.client
import json
import shutil
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from helpers import serving_models
from helpers.image_bombs import bomb
from keras_attn.serving import BatchingOptions, ServerOptions, start_server
from keras_attn.serving.batching.options import read_batching_options
from keras_attn.serving.lifecycle.manager import Target
from keras_attn.serving.lifecycle.model_config import read_model_config
from keras_attn.serving.lifecycle.version_policy import ALL, LATEST
from keras_attn.serving.metrics import read_prometheus_path
from keras_attn.serving.process.tls import read_tls


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return serving_models.save_doubler(tmp_path_factory.mktemp("saved") / "1")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    base = tmp_path_factory.mktemp("exports") / "images"
    serving_models.save_images(base / "1")
    return base


@pytest.fixture
def base(tmp_path, saved):
    shutil.copytree(saved, tmp_path / "m" / "1")
    return tmp_path / "m"


def ask(url, request=None, **arguments):
    data = None if request is None else json.dumps(request).encode()
    try:
        with urllib.request.urlopen(url, data, **arguments) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def predict_request(x=(1.0,), name="m"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32(x)))
    return request


def config_of(*models):
    return "model_config_list { " + " ".join(f"config {{ {model} }}" for model in models) + " }"


def test_a_models_config(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(
        config_of(
            'name: "a" base_path: "/x/a" model_platform: "tensorflow"'
            ' version_labels { key: "stable" value: 3 }',
            'name: "b" base_path: "/x/b" model_type: TENSORFLOW model_version_policy { all {} }',
            'name: "c" base_path: "/x/c" model_platform: "tensorflow"'
            " model_version_policy { latest { num_versions: 2 } }",
        )
    )
    a, b, c = read_model_config(path)
    assert (a.name, str(a.base_path), a.policy, a.labels) == ("a", "/x/a", LATEST, {"stable": 3})
    assert (b.policy, c.policy.latest) == (ALL, 2)


TENSORFLOW = 'model_platform: "tensorflow"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_lost {}", "must be a ModelServerConfig in protobuf's text format"),
        (config_of(f'name: "a" base_path: "x" {TENSORFLOW}'), "to have an absolute path or URI"),
        (config_of('name: "a" base_path: "/x"'), "Illegal setting neither"),
        (config_of('name: "a" base_path: "/x" model_platform: "other"'), "unsupported platform"),
        (
            config_of(f'name: "a" base_path: "/x" {TENSORFLOW} model_type: TENSORFLOW'),
            "Illegal setting both",
        ),
        (config_of('name: "a" base_path: "/x" model_type: OTHER'), "choice 2 not supported"),
        (
            config_of(*[f'name: "a" base_path: "/x" {TENSORFLOW}'] * 2),
            "list model a multiple times",
        ),
        (config_of(f'name: "a/b" base_path: "/x" {TENSORFLOW}'), "without '/' and ':'"),
        ("custom_model_config {}", "Only ModelConfigList is currently supported"),
    ],
)
def test_a_wrong_models_config(tmp_path, text, message):
    path = tmp_path / "models.config"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        start_server(model_config_file=path)


def test_labels_at_the_start_need_an_option(tmp_path, base):
    path = tmp_path / "models.config"
    labels = 'version_labels { key: "stable" value: 1 }'
    path.write_text(config_of(f'name: "m" base_path: "{base}" {TENSORFLOW} {labels}'))
    with pytest.raises(ValueError, match="need `allow_version_labels_for_unavailable_models=True`"):
        start_server(model_config_file=path)


def test_the_file_is_read_again(tmp_path, base, saved, caplog):
    shutil.copytree(saved, tmp_path / "n" / "1")
    path = tmp_path / "models.config"
    one = f'name: "m" base_path: "{base}" {TENSORFLOW}'
    path.write_text(config_of(one))
    options = ServerOptions(model_config_file_poll_wait_seconds=0.02)
    with start_server(model_config_file=path, options=options) as server:
        url = server.url + "/v1/models/n:predict"
        assert ask(url, {"instances": [1]})[0] == 404
        path.write_text("model_config_list { nonsense")
        wait_for(lambda: "Failed to read ModelServerConfig file" in caplog.text)
        assert ask(server.model_url + ":predict", {"instances": [1]})[0] == 200
        path.write_text(config_of(one, f'name: "n" base_path: "{tmp_path}/n" {TENSORFLOW}'))
        wait_for(lambda: ask(url, {"instances": [1]})[0] == 200)


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_configuration_over_grpc(tmp_path, base, saved):
    shutil.copytree(saved, tmp_path / "n" / "1")
    with start_server(base) as server, grpc.insecure_channel(server.grpc_address) as channel:
        service = model_service_pb2_grpc.ModelServiceStub(channel)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        stub.Predict(predict_request(), timeout=30)
        request = model_management_pb2.ReloadConfigRequest(
            metric_names=[":tensorflow:serving:request_count"]
        )
        entry = request.config.model_config_list.config.add()
        entry.name, entry.base_path = "n", str(tmp_path / "n")
        entry.model_platform = "tensorflow"
        response = service.HandleReloadConfigRequest(request, timeout=30)
        assert response.status.error_code == 0
        assert response.metric[0].int64_value_increase == 0
        assert stub.Predict(predict_request(name="n"), timeout=30)
        with pytest.raises(grpc.RpcError, match=r"Latest\(m\)"):
            stub.Predict(predict_request(), timeout=30)
        entry.base_path = "relative"
        with pytest.raises(grpc.RpcError, match="absolute path"):
            service.HandleReloadConfigRequest(request, timeout=30)
        with pytest.raises(grpc.RpcError, match="Only ModelConfigList is currently supported"):
            service.HandleReloadConfigRequest(
                model_management_pb2.ReloadConfigRequest(), timeout=30
            )
        assert stub.Predict(predict_request(name="n"), timeout=30)


def test_warm_up(base):
    path = serving_models.write_warmup(base / "1", [predict_request([1, 2]), predict_request()])
    with start_server(base, grpc_port=None) as server:
        text = ask(server.url + "/monitoring/prometheus/metrics")[1].decode()
    assert (
        f':tensorflow:serving:model_warmup_latency_count{{model_path="{path.parent.parent}",'
        'status="OK"} 1'
    ) in text
    assert ":tensorflow:serving:request_count{" not in text  # they are no requests
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(prediction_log_pb2.PredictionLog().SerializeToString())
    start_server(base, grpc_port=None).stop()


def too_many(path):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(1001):
            writer.write(b"")


def unsupported(path):
    log = prediction_log_pb2.PredictionLog()
    log.session_run_log.request.feed.add()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(log.SerializeToString())


def no_message(path):
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\xff\xff")


def failing(path):
    wrong = predict_request()
    wrong.inputs["z"].CopyFrom(wrong.inputs["x"])
    serving_models.write_warmup(path.parent.parent, [predict_request(), wrong])


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (too_many, r"Number of warmup records exceeds the maximum \(1000\)"),
        (unsupported, "Unsupported log_type for warmup"),
        (no_message, "Failed to parse warmup record: 1"),
        (failing, "warm-up record 2 of .* fails: input size does not match signature"),
        (cut_off, "is corrupt"),
    ],
)
def test_a_bad_warm_up_fails_the_load(base, damage, message):
    damage(serving_models.write_warmup(base / "1", [predict_request()]))
    with pytest.raises(ValueError, match=message):
        start_server(base, grpc_port=None)
    start_server(base, grpc_port=None, options=ServerOptions(enable_model_warmup=False)).stop()


def test_batching_through_the_server(base):
    parameters = base.parent / "batching.txt"
    parameters.write_text(
        "max_batch_size { value: 64 } batch_timeout_micros { value: 200000 }"
        " num_batch_threads { value: 1 } allowed_batch_sizes: 8 allowed_batch_sizes: 64"
    )
    options = read_batching_options(parameters)
    assert options == BatchingOptions(
        max_batch_size=64,
        batch_timeout_micros=200_000,
        num_batch_threads=1,
        allowed_batch_sizes=(8, 64),
    )
    with start_server(base, options=ServerOptions(batching=options)) as server:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            url = server.model_url + ":predict"
            replies = list(pool.map(lambda i: ask(url, {"instances": [i]}), range(8)))
        text = ask(server.url + "/monitoring/prometheus/metrics")[1].decode()
    assert [json.loads(body)["predictions"] for _, body in replies] == [[2.0 * i] for i in range(8)]
    runs = int(text.split(":batching_session:wrapped_run_count{} ")[1].split()[0])
    assert runs < 8


def test_batching_by_the_model(base, saved):
    shutil.copy(saved / "saved_model.pb", base / "1")
    (base / "1" / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
    options = ServerOptions(
        batching=BatchingOptions(num_batch_threads=1), enable_per_model_batching_parameters=True
    )
    with start_server(base, grpc_port=None, options=options) as server:
        status, body = ask(server.model_url + ":predict", {"instances": [1, 2, 3]})
        assert (status, b"larger than maximum input batch size 2" in body) == (400, True)
    (base / "1" / "batching_params.pbtxt").write_text("max_batch_size: 2")
    with pytest.raises(ValueError, match="must be a BatchingParameters in protobuf's text format"):
        start_server(base, grpc_port=None, options=options)
    (base / "1" / "batching_params.pbtxt").unlink()
    with start_server(base, grpc_port=None, options=options) as server:
        assert ask(server.model_url + ":predict", {"instances": [1, 2, 3]})[0] == 200


def test_where_the_metrics_are(base, tmp_path):
    config = tmp_path / "monitoring.config"
    config.write_text('prometheus_config { enable: true path: "/numbers" }')
    options = ServerOptions(prometheus_path=read_prometheus_path(config), page=False)
    with start_server(base, grpc_port=None, options=options) as server:
        assert b"request_count" in ask(server.url + "/numbers")[1]
        assert ask(server.url + "/monitoring/prometheus/metrics")[0] == 404
        assert ask(server.url + "/")[0] == 404
        assert server.grpc_address is None
    config.write_text("prometheus_config { }")
    assert read_prometheus_path(config) is None
    config.write_text("prometheus_config { enable: true }")
    assert read_prometheus_path(config) == "/monitoring/prometheus/metrics"


def test_cors(base):
    options = ServerOptions(rest_api_enable_cors_support=True)
    with start_server(base, grpc_port=None, options=options) as server:
        host = server.url.removeprefix("http://")
        for headers, status in (({"Origin": "https://x"}, 200), ({}, 400)):
            connection = http.client.HTTPConnection(host)
            connection.request("OPTIONS", "/v1/models/m:predict", headers=headers)
            reply = connection.getresponse()
            assert (reply.status, reply.getheader("Access-Control-Allow-Origin")) == (status, "*")
            connection.close()


def test_no_more_requests_than_allowed(base):
    """While one is under way the next is refused, over either protocol."""
    with start_server(base, options=ServerOptions(max_requests=1)) as server:
        gate, entered = threading.Event(), threading.Semaphore(0)
        with server.manager.use(Target("m")) as model:
            run = model._run

            def slow(feeds, fetches):
                entered.release()
                assert gate.wait(30)
                return run(feeds, fetches)

            model._run = slow
        url = server.model_url + ":predict"
        with (
            concurrent.futures.ThreadPoolExecutor(1) as pool,
            grpc.insecure_channel(server.grpc_address) as channel,
        ):
            first = pool.submit(ask, url, {"instances": [1]})
            assert entered.acquire(timeout=30)
            status, body = ask(url, {"instances": [1]})
            assert (status, json.loads(body)) == (
                429,
                {"error": "More than 1 requests are under way"},
            )
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            second = stub.Predict.future(predict_request(), timeout=30)
            assert entered.acquire(timeout=30)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(predict_request(), timeout=30)
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            gate.set()
            assert first.result(30)[0] == 200
            assert second.result(30)


def test_a_stop_answers_what_is_under_way(base):
    server = start_server(base)
    gate, entered = threading.Event(), threading.Semaphore(0)
    with server.manager.use(Target("m")) as model:
        run = model._run

        def slow(feeds, fetches):
            entered.release()
            assert gate.wait(30)
            return run(feeds, fetches)

        model._run = slow
    with (
        concurrent.futures.ThreadPoolExecutor(2) as pool,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        over_rest = pool.submit(ask, server.model_url + ":predict", {"instances": [1]})
        over_grpc = stub.Predict.future(predict_request(), timeout=30)
        assert entered.acquire(timeout=30)
        assert entered.acquire(timeout=30)
        stopping = pool.submit(server.stop)
        time.sleep(0.1)
        assert not stopping.done()
        gate.set()
        assert over_rest.result(30)[0] == 200
        assert over_grpc.result(30).outputs["y"].float_val == [2.0]
        stopping.result(30)


def test_health_says_that_it_stops(base):
    server = start_server(base)
    with grpc.insecure_channel(server.grpc_address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(server.stop)
            assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
            watch.cancel()
            stopping.result(30)


def test_a_grpc_port_in_use(base):
    with start_server(base) as server:
        port = int(server.grpc_address.rsplit(":", 1)[1])
        with pytest.raises(OSError, match=f"port {port} at 127.0.0.1 is in use"):
            start_server(base, grpc_port=port)


def test_a_body_that_is_too_long_for_grpc(base):
    with (
        start_server(base, options=ServerOptions(max_body_bytes=1000)) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(predict_request([1.0] * 1000), timeout=30)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        request = predict_request()
        request.inputs["x"].tensor_shape.dim[0].size = 10**9
        with pytest.raises(grpc.RpcError, match="at most 1000 bytes are allowed"):
            stub.Predict(request, timeout=30)


@pytest.fixture(scope="module")
def ssl_config(tmp_path_factory):
    """An SSLConfig with a key that is made here, and the path of its certificate."""
    if shutil.which("openssl") is None:
        pytest.fail("There is no openssl to make a key with. On Debian: apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    config = folder / "ssl.config"
    lines = {"server_key": key, "server_cert": certificate, "custom_ca": certificate}
    config.write_text(
        "".join(f"{name}: {json.dumps(file.read_text())}\n" for name, file in lines.items())
    )
    return config, certificate


def test_tls(base, ssl_config):
    config, certificate = ssl_config
    options = ServerOptions(ssl_config_file=config)
    context = ssl.create_default_context(cafile=certificate)
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    with (
        start_server(base, options=options) as server,
        grpc.secure_channel(server.grpc_address, credentials) as channel,
    ):
        assert server.url.startswith("https://")
        assert ask(server.model_url, context=context)[0] == 200
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert stub.Predict(predict_request(), timeout=30).outputs["y"].float_val == [2.0]
        with pytest.raises(urllib.error.URLError):
            ask(server.model_url)  # who signed this certificate?


def test_tls_of_clients(base, ssl_config, tmp_path):
    """A client without a certificate of the authority is refused on both ports."""
    config, certificate = ssl_config
    strict = tmp_path / "strict.config"
    strict.write_text(config.read_text() + "client_verify: true\n")
    key = certificate.parent / "key.pem"
    context = ssl.create_default_context(cafile=certificate)
    trusted = certificate.read_bytes()
    stranger = grpc.ssl_channel_credentials(trusted)
    known = grpc.ssl_channel_credentials(trusted, key.read_bytes(), trusted)

    def predict(credentials):
        with grpc.secure_channel(server.grpc_address, credentials) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            return stub.Predict(predict_request(), timeout=30).outputs["y"].float_val

    with start_server(base, options=ServerOptions(ssl_config_file=strict)) as server:
        with pytest.raises((urllib.error.URLError, OSError)):
            ask(server.model_url, context=context)
        with pytest.raises(grpc.RpcError) as caught:
            predict(stranger)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        context.load_cert_chain(certificate, key)
        assert ask(server.model_url, context=context)[0] == 200
        assert predict(known) == [2.0]


def test_a_wrong_ssl_config(tmp_path, base):
    path = tmp_path / "ssl.config"
    for text in ("server_key: 'x'", ""):
        path.write_text(text)
        with pytest.raises(ValueError, match="must hold a PEM key and its certificate"):
            read_tls(path)
    path.write_text("server_koy: 'x'")
    with pytest.raises(ValueError, match="must be a SSLConfig"):
        start_server(base, options=ServerOptions(ssl_config_file=path))


def test_a_bomb_is_a_400(images):
    data = bomb(60_000, 60_000)
    with start_server(images, grpc_port=None) as server:
        request = {
            "signature_name": "serve_bytes",
            "instances": [{"b64": base64.b64encode(data).decode()}],
        }
        status, body = ask(server.model_url + ":predict", request)
        assert (status, b"pixels together" in body) == (400, True)
