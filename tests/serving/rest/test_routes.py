import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.serving import ServedModel, start_server
from keras_attn.serving.core import Core
from keras_attn.serving.lifecycle.manager import ModelManager, Target
from keras_attn.serving.lifecycle.version_policy import ModelEntry
from keras_attn.serving.metrics import Metrics
from keras_attn.serving.rest.routes import handle


class Functions(tf.Module):
    """Signatures with answers that can be worked out by hand."""

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="x")])
    def double(self, x):
        return {"y": 2.0 * x}

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, 2), tf.float32, name="a"),
            tf.TensorSpec((None,), tf.int32, name="b"),
        ]
    )
    def two(self, a, b):
        return {"sum": tf.reduce_sum(a, axis=1), "scaled": a * tf.cast(b, tf.float32)[:, None]}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="s")])
    def strings(self, s):
        return {"text": s, "raw_bytes": s, "length": tf.strings.length(s)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
    def sides(self, x):
        return {"total": tf.reduce_sum(x), "each": x}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
    def logarithm(self, x):
        return {"y": tf.math.log(x)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image")])
    def decode(self, image):
        return {"size": tf.shape(tf.io.decode_png(image[0]))[None]}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
    def half(self, x):
        return {"y": tf.cast(x, tf.float16)}


SIGNATURES = ["two", "strings", "sides", "logarithm", "decode", "half"]


def save(folder):
    module = Functions()
    signatures = {name: getattr(module, name) for name in SIGNATURES}
    tf.saved_model.save(module, str(folder), {"serving_default": module.double, **signatures})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "functions"
    save(path / "3")
    (path / "20").mkdir()  # a lower one of the same contents would do as well
    shutil.copytree(path / "3", path / "20", dirs_exist_ok=True)
    (path / ".21-half-written").mkdir()
    return path


@pytest.fixture(scope="module")
def core(base):
    manager = ModelManager()
    manager.configure([ModelEntry("functions", base)])
    yield Core(manager, Metrics(), max_body_bytes=2**20)
    manager.stop()


def ask(core, request, *, path="/v1/models/functions:predict", method="POST"):
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    reply = handle(core, method=method, path=path, body=body)
    return reply.status, json.loads(reply.body)


def get(core, path):
    return ask(core, b"", path=path, method="GET")


def test_the_highest_version_by_number_is_loaded(core, base):
    with core.manager.use(Target("functions")) as model:
        assert (model.version, model.folder) == (20, base / "20")


def test_predict(core):
    assert ask(core, {"instances": [[1, 2], [3, 4]]}) == (
        200,
        {"predictions": [[2.0, 4.0], [6.0, 8.0]]},
    )
    assert ask(core, {"inputs": [[1, 2]]}) == (200, {"outputs": [[2.0, 4.0]]})
    assert ask(core, {"inputs": {"x": [[1, 2]]}}) == (200, {"outputs": [[2.0, 4.0]]})
    path = "/V1/Models/functions/versions/020:predict"
    assert ask(core, {"instances": [[1, 2]]}, path=path)[0] == 200
    path = "/v1/models/functions:PREDICT"  # the verb alone has a case
    assert ask(core, {"instances": [[1, 2]]}, path=path)[0] == 400


def test_several_inputs_and_outputs(core):
    rows = [{"a": [1, 2], "b": 3}, {"a": [4, 5], "b": 6}]
    assert ask(core, {"signature_name": "two", "instances": rows}) == (
        200,
        {
            "predictions": [
                {"sum": 3.0, "scaled": [3.0, 6.0]},
                {"sum": 9.0, "scaled": [24.0, 30.0]},
            ]
        },
    )
    columns = {"a": [[1, 2], [4, 5]], "b": [3, 6]}
    assert ask(core, {"signature_name": "two", "inputs": columns}) == (
        200,
        {"outputs": {"sum": [3.0, 9.0], "scaled": [[3.0, 6.0], [24.0, 30.0]]}},
    )


def test_strings(core):
    request = {"signature_name": "strings", "instances": ["é", {"b64": "AGEA"}]}
    assert ask(core, request) == (
        200,
        {
            "predictions": [
                {"text": "é", "raw_bytes": {"b64": "w6k="}, "length": 2},
                {"text": "\0a\0", "raw_bytes": {"b64": "AGEA"}, "length": 3},
            ]
        },
    )


def test_not_a_number_comes_out_as_such(core):
    request = {"signature_name": "logarithm", "instances": [-1, 0, 1]}
    reply = handle(
        core,
        method="POST",
        path="/v1/models/functions:predict",
        body=json.dumps(request).encode(),
    )
    assert reply == (200, b'{"predictions": [NaN, -Infinity, 0.0]}')


def test_an_output_without_a_batch_has_no_row_format(core):
    request = {"signature_name": "sides", "instances": [1, 2]}
    assert ask(core, request) == (400, {"error": "Tensor name: total has no shape information "})
    request = {"signature_name": "sides", "inputs": [1, 2]}
    assert ask(core, request) == (200, {"outputs": {"total": 3.0, "each": [1.0, 2.0]}})


def test_half_precision_has_no_json(core):
    assert ask(core, {"signature_name": "half", "instances": [1]}) == (
        400,
        {"error": "Failed to write JSON value for tensor type: half"},
    )


def test_what_the_graph_refuses_has_its_code_and_reason(core):
    status, reply = ask(core, {"signature_name": "decode", "instances": ["no image"]})
    assert status == 400
    assert "Unknown image file format" in reply["error"]
    assert not reply["error"].startswith("Graph execution error")


@pytest.mark.parametrize(
    ("request_", "path", "status", "error"),
    [
        (
            {"instances": [[1, 2]]},
            "/v1/models/none:predict",
            404,
            "Servable not found for request: Latest(none)",
        ),
        (
            {"instances": [[1, 2]]},
            "/v1/models/functions/versions/3:predict",
            404,
            "Servable not found for request: Specific(functions, 3)",
        ),
        (
            {"instances": [[1, 2]]},
            "/v1/models/functions/labels/stable:predict",
            400,
            "Unrecognized servable version label: stable",
        ),
        (
            {"instances": [[1, 2]]},
            f"/v1/models/functions/versions/{2**63}:predict",
            400,
            f"Failed to convert version: {2**63} to numeric.",
        ),
        (
            {"instances": [[1, 2]], "signature_name": "x"},
            "/v1/models/functions:predict",
            400,
            'Serving signature name: "x" not found in signature def',
        ),
        (
            {"instances": [[1, 2]], "signature_name": "__saved_model_init_op"},
            "/v1/models/functions:predict",
            400,
            "Failed to get input map for signature: __saved_model_init_op",
        ),
        (
            b"{",
            "/v1/models/none:predict",  # the JSON is read before the model is looked up
            400,
            "JSON Parse error: Missing a name for object member. at offset: 1",
        ),
        (
            {"instances": [[1, 2]]},
            "/v1/models/functions:classify",
            400,
            "JSON Value: {\n    \"instances\": [[1, 2]]\n} When method is classify, key 'examples' "
            "is expected and was not found",
        ),
        (b"", "/v1/models/functions:run", 400, "Malformed request: POST /v1/models/functions:run"),
        (b"", "/v1/models/functions", 400, "Malformed request: POST /v1/models/functions"),
        (b"", "/v1/models/a/b:predict", 400, "Malformed request: POST /v1/models/a/b:predict"),
        (b"", "/v2/models", 404, "Not found: /v2/models. The models are under /v1/models"),
    ],
)
def test_errors(core, request_, path, status, error):
    assert ask(core, request_, path=path) == (status, {"error": error})


def test_status(core):
    expected = {
        "model_version_status": [
            {
                "version": "20",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert get(core, "/v1/models/functions") == (200, expected)
    assert get(core, "/v1/models/functions/versions/20") == (200, expected)
    assert get(core, "/v1/models/%66unctions") == (200, expected)
    assert get(core, "/v1/models/functions/versions/3") == (
        404,
        {"error": "Could not find version 3 of model functions"},
    )
    assert get(core, "/v1/models/none") == (
        404,
        {"error": "Could not find any versions of model none"},
    )
    assert get(core, "/v1/models") == (400, {"error": "Missing model name in request."})
    assert get(core, "/v1/models/functions/else") == (
        400,
        {"error": "Malformed request: GET /v1/models/functions/else"},
    )


def test_metadata(core):
    status, reply = get(core, "/v1/models/functions/metadata")
    assert status == 200
    assert reply["model_spec"] == {"name": "functions", "signature_name": "", "version": "20"}
    signatures = reply["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"__saved_model_init_op", "serving_default", *SIGNATURES}
    default = signatures["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    assert default["inputs"] == {
        "x": {
            "dtype": "DT_FLOAT",
            "name": "serving_default_x:0",
            "tensor_shape": {
                "dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}],
                "unknown_rank": False,
            },
        }
    }
    assert list(default["outputs"]) == ["y"]
    assert get(core, "/v1/models/functions/versions/20/metadata") == (200, reply)
    assert get(core, "/v1/models/none/metadata") == (
        404,
        {"error": "Servable not found for request: Latest(none)"},
    )


def test_what_nobody_foresaw_is_500(core, monkeypatch, caplog):
    with core.manager.use(Target("functions")) as model:
        monkeypatch.setattr(model, "_run", None)
    status, reply = ask(core, {"instances": [[1, 2]]})
    assert (status, reply) == (500, {"error": "TypeError: 'NoneType' object is not callable"})
    assert "failed" in caplog.text


def test_equals_the_signature_to_the_last_bit(core, base):
    values = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    _, reply = ask(core, {"instances": values.tolist()})
    serve = tf.saved_model.load(str(base / "20")).signatures["serving_default"]
    np.testing.assert_array_equal(
        np.float32(reply["predictions"]), serve(x=tf.constant(values))["y"]
    )


def test_names(base):
    assert ServedModel(base / "20", name="other").name == "other"
    assert ServedModel(base / "20").name == "functions"
    for name in ("", "a/b", "a:b", 3):
        with pytest.raises(ValueError, match="`name` must be a non-empty string"):
            ServedModel(base / "20", name=name)
    with pytest.raises(ValueError, match="`version` must be given where"):
        ServedModel(base)


def no_folder(path):
    shutil.rmtree(path)


def no_version(path):
    shutil.rmtree(path / "1")


def empty_version(path):
    shutil.rmtree(path / "1")
    (path / "1").mkdir()


def no_graph(path):
    (path / "1" / "saved_model.pb").unlink()


def garbage_graph(path):
    (path / "1" / "saved_model.pb").write_bytes(b"garbage")


def truncated_graph(path):
    file = path / "1" / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:1000])


def no_variables(path):
    shutil.rmtree(path / "1" / "variables")


def truncated_index(path):
    file = path / "1" / "variables" / "variables.index"
    file.write_bytes(file.read_bytes()[:20])


def file_for_a_version(path):
    shutil.rmtree(path / "1")
    (path / "1").write_text("no folder")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_folder, "base folder of a model, .*, which is no folder"),
        (no_version, "base folder of a model, with a numbered version folder in it"),
        (empty_version, "must hold a SavedModel that can be loaded"),
        (no_graph, "must hold a SavedModel that can be loaded"),
        (garbage_graph, "must hold a SavedModel that can be loaded"),
        (truncated_graph, "must hold a SavedModel that can be loaded"),
        (no_variables, "must hold a SavedModel that can be loaded"),
        (truncated_index, "must hold a SavedModel that can be loaded"),
        (file_for_a_version, "must hold a SavedModel that can be loaded"),
    ],
)
def test_a_missing_or_corrupt_folder_is_one_clear_line(tmp_path, damage, message):
    class Weighted(tf.Module):
        def __init__(self):
            self.weight = tf.Variable(tf.ones((2, 2)))

        @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="x")])
        def __call__(self, x):
            return {"y": x @ self.weight}

    module = Weighted()
    tf.saved_model.save(module, str(tmp_path / "m" / "1"), module.__call__)
    damage(tmp_path / "m")
    with pytest.raises(ValueError, match=message) as caught:
        start_server(tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_a_version_folder_is_not_the_base_folder(base):
    with pytest.raises(ValueError, match="a version folder itself: give its parent"):
        start_server(base / "20")
