"""Graphs whose signature and operations say different things: the operations decide."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from helpers import serving_graphs, serving_models
from keras_attn.serving import BatchingOptions, ServedModel, ServerOptions, start_server
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.lifecycle.model_config import read_model_config
from keras_attn.serving.models.graph_call import graph_call


def ask(url, body):
    try:
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two bases of TF Serving's own examples, by their names."""
    path = tmp_path_factory.mktemp("graphs")
    serving_graphs.save_line(path / "half_plus_two" / "1")
    serving_graphs.save_line(
        path / "half_plus_three" / "1", lines={("serve",): (0.5, 3.0)}, shape=()
    )
    return path


@pytest.mark.parametrize("batching", [None, BatchingOptions(allowed_batch_sizes=(4, 1000))])
@pytest.mark.parametrize(("name", "offset"), [("half_plus_two", 2.0), ("half_plus_three", 3.0)])
def test_a_shape_that_the_signature_does_not_have(folder, name, offset, batching):
    options = ServerOptions(batching=batching)
    with start_server(folder / name, grpc_port=None, options=options) as server:
        url = server.model_url + ":predict"
        expected = [offset + 0.5, offset + 1.0, offset + 2.5]
        assert ask(url, {"instances": [1.0, 2.0, 5.0]}) == (200, {"predictions": expected})
        assert ask(url, {"inputs": [1.0, 2.0, 5.0]}) == (200, {"outputs": expected})
        assert ask(url, {"inputs": [[[1.0]], [[2.0]]]})[1] == {
            "outputs": [[[offset + 0.5]], [[offset + 1.0]]]
        }
        if batching is None:
            assert ask(url, {"inputs": 5.0}) == (200, {"outputs": offset + 2.5})
        else:
            message = "Batching Run() input tensors must have at least one dimension"
            assert ask(url, {"inputs": 5.0}) == (400, {"error": message})


def test_what_the_operations_refuse_is_an_error_of_the_request(tmp_path):
    class Product(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="x")])
        def __call__(self, x):
            return {"y": x @ tf.ones((2, 3))}

    module = Product()
    tf.saved_model.save(module, str(tmp_path / "1"), {"serving_default": module.__call__})
    model = ServedModel(tmp_path / "1")
    assert model.predict({"x": np.ones((5, 2), np.float32)})["y"].shape == (5, 3)
    with pytest.raises(ServingError, match=r"Matrix size-incompatible: In\[0\]: \[1,7\]") as caught:
        model.predict({"x": np.ones((1, 7), np.float32)})
    assert caught.value.code == Code.INVALID_ARGUMENT
    with pytest.raises(ServingError, match="ndims"):  # in words that differ by processor
        model.predict({"x": np.float32(1)})
    model.close()


def test_the_call_takes_and_gives_every_kind_of_array():
    """It has no public name in TensorFlow: what is used of it stands here."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        numbers = v1.placeholder(tf.bfloat16, [2], name="numbers")
        texts = v1.placeholder(tf.string, [], name="texts")
        tf.add(numbers, numbers, name="sum")
        tf.identity(texts, name="same")
        call = graph_call(session, ["numbers:0", "texts:0"], ["sum:0", "same:0"])
        for text in (b"a\0", [b"b", b""], [[]]):
            array = np.ones((1, 3), tf.bfloat16.as_numpy_dtype)
            total, same = call(array, np.array(text, object))
            assert (total.dtype, total.tolist()) == (array.dtype, [[2.0] * 3])
            assert np.array(same, object).tolist() == text
        with pytest.raises(tf.errors.InvalidArgumentError):
            call(np.float64([1]), np.array(b"a", object))


LINES = {("serve", "gpu"): (100.0, 0.0), ("serve",): (0.5, 2.0), ("other", "tpu"): (1.0, 7.0)}


def test_the_graph_whose_tags_are_the_same(tmp_path):
    serving_graphs.save_line(tmp_path / "m" / "1", lines=LINES)
    x = np.float32([[2.0]])
    for tags, expected in [("serve", 3.0), ("gpu,serve", 200.0), ("tpu,other", 9.0)]:
        options = ServerOptions(saved_model_tags=tags)
        with start_server(tmp_path / "m", grpc_port=None, options=options) as server:
            reply = ask(server.model_url + ":predict", {"instances": x.tolist()})
        assert reply == (200, {"predictions": [[expected]]})
    message = (
        r"matching supplied tags: \{ gpu \}, only \{ gpu serve \}, \{ serve \}, \{ other tpu \}"
    )
    with pytest.raises(ValueError, match=message):
        ServedModel(tmp_path / "m" / "1", tags=["gpu"])


def request_of(**inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value, tf.float32))
    return request


@pytest.fixture(scope="module")
def with_defaults(tmp_path_factory):
    base = tmp_path_factory.mktemp("defaults") / "m"
    serving_graphs.save_line(base / "1", defaults={"slope": 10.0, "offset": 1.0})
    serving_models.write_warmup(base / "1", [request_of(x=1.0)])  # without them the load fails
    return base


def test_an_input_with_a_default_may_be_left_out(with_defaults):
    with (
        start_server(with_defaults) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        for inputs, expected in [
            ({"x": 2.0}, 21.0),
            ({"x": 2.0, "slope": 3.0}, 7.0),
            ({"x": 2.0, "slope": 3.0, "offset": 0.0}, 6.0),
        ]:
            assert predict(request_of(**inputs)).outputs["y"].float_val == [expected]
        for inputs, message in [
            (
                {"slope": 2.0},
                "Signature input alias: x(feed name: x:0) not found in request and no default "
                "value provided. Inputs expected to be in the request {slope}, or default input "
                "alias set: offset,slope",
            ),
            (
                {"x": 1.0, "other": 2.0},
                "Inputs contains invalid name. Used request inputs: x, request input: other,x",
            ),
        ]:
            with pytest.raises(grpc.RpcError) as caught:
                predict(request_of(**inputs))
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert caught.value.details() == message
        # JSON has to name all, in TF Serving as here.
        url = server.model_url + ":predict"
        assert ask(url, {"inputs": {"x": 2.0}}) == (
            400,
            {"error": "Missing named input: offset in 'inputs' object."},
        )


def test_a_dtype_that_the_signature_does_not_have(tmp_path):
    version = tmp_path / "m" / "1"
    serving_models.save_examples(version)
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    signature = saved.meta_graphs[0].signature_def["regress"]
    signature.inputs["inputs"].dtype = types_pb2.DT_FLOAT  # they are strings
    (version / "saved_model.pb").write_bytes(saved.SerializeToString())
    with start_server(tmp_path / "m", grpc_port=None) as server:
        asked = {"signature_name": "regress", "examples": [{"x": 1.0}, {"x": 2.0}]}
        assert ask(server.model_url + ":regress", asked) == (200, {"results": [1.0, 2.0]})


def test_a_signature_without_inputs(tmp_path):
    class Constant(tf.Module):
        @tf.function(input_signature=[])
        def __call__(self):
            return {"y": tf.constant([7.0])}

    module = Constant()
    tf.saved_model.save(module, str(tmp_path / "m" / "1"), {"seven": module.__call__})
    with (
        start_server(tmp_path / "m") as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        request = request_of()
        request.model_spec.signature_name = "seven"
        assert predict(request).outputs["y"].float_val == [7.0]
        # An operation is no tensor: the initialisation doesn't run again.
        request.model_spec.signature_name = "__saved_model_init_op"
        with pytest.raises(grpc.RpcError, match="does not have output 0") as caught:
            predict(request)
        assert caught.value.code() == grpc.StatusCode.OUT_OF_RANGE
        # JSON can't say that there are no inputs, in TF Serving as here.
        asked = {"inputs": {}, "signature_name": "seven"}
        assert ask(server.model_url + ":predict", asked) == (
            400,
            {"error": "Failed to get input map for signature: seven"},
        )


def test_a_base_path_may_be_a_uri(folder, tmp_path):
    config = tmp_path / "models.config"
    text = 'model_config_list { config { name: "m" base_path: "%s" model_platform: "tensorflow" } }'
    for uri in (f"file://{folder}/half_plus_two", f"file://localhost{folder}/half_plus_two/"):
        config.write_text(text % uri)
        [entry] = read_model_config(config)
        assert list(entry.find()) == [1]
    with start_server(f"file://{folder}/half_plus_two", grpc_port=None) as server:
        assert server.model_url.endswith("/half_plus_two")
    for uri, message in [
        ("gs://bucket/m", "File system scheme 'gs' not implemented"),
        ("file://m", "Expected model m to have an absolute path or URI"),
    ]:
        config.write_text(text % uri)
        with pytest.raises(ValueError, match=message):
            read_model_config(config)
    with pytest.raises(ValueError, match="`path` must be a local folder. .*scheme 's3' not"):
        start_server("s3://bucket/m")
