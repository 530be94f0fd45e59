"""Graphs whose signature and operations say different things: the operations decide."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import numpy as np
import pytest
import serving_graphs
import tensorflow as tf

from keras_attn.serving import BatchingOptions, ServedModel, ServerOptions, start_server
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.graph_call import graph_call


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
    with pytest.raises(ServingError, match="ndims must be >= 2"):
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
