"""Networks of 16 bits, made again in float32 for everything that they are exported to."""

import json

import keras
import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

import keras_attn
from keras_attn.export import (
    export_onnx,
    export_saved_model,
    export_tflite,
    export_tflite_int8,
)
from keras_attn.export.graph.precision import compare_precisions, in_float32, sixteen_bit_policies

POLICIES = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")


def network(policy, extra=None):
    """Attention and BatchNormalization; weights with which every layer matters."""
    layers, whole = keras.layers, policy.removeprefix("mixed_")
    own = {"dtype": policy}
    image = keras.Input((12, 10, 3), dtype=whole if whole == policy else None, name="picture")
    x = layers.Rescaling(1 / 255, **own)(image)
    x = layers.Conv2D(8, 3, padding="same", name="conv", **own)(x)
    x = layers.BatchNormalization(name="norm", **own)(x)
    x = keras_attn.layers.SqueezeExcite(ratio=2, name="gate", **own)(x)
    x = keras_attn.layers.AugmentedConv2D(
        8, 3, num_heads=2, key_depth=4, value_depth=4, name="looks", **own
    )(x)
    x = extra(x, own) if extra else x
    x = layers.GlobalAveragePooling2D(**own)(x)
    model = keras.Model(image, layers.Dense(3, "softmax", **own)(x), name="net")
    rng = np.random.default_rng(0)
    for weight in model.weights:
        positive = "variance" in weight.path or "gamma" in weight.path
        shape = weight.shape
        weight.assign(rng.uniform(0.5, 1.5, shape) if positive else 0.3 * rng.normal(size=shape))
    return model


def nested(x, own):
    inside = keras.Input(x.shape[1:], dtype=x.dtype)
    inner = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Conv2D(8, 1, **own)])
    return keras.Model(inside, inner(inside))(x)


def operations(x, own):
    return keras.ops.relu(keras.ops.cast(x, "float16"))


def wrapped(x, own):
    return keras.layers.TimeDistributed(keras.layers.Dense(8, **own), **own)(x)


def function(x, own):
    return keras.layers.Lambda(lambda t: 2 * t, **own)(x)


def images():
    return np.random.default_rng(1).integers(0, 256, (2, 12, 10, 3)).astype("float32")


@pytest.mark.parametrize(
    ("policy", "extra"),
    [*((policy, None) for policy in POLICIES),
     *(("mixed_float16", each) for each in (nested, operations, wrapped, function))],
)  # fmt: skip
def test_made_again(policy, extra):
    model = network(policy, extra)
    copy = in_float32(model)
    assert sixteen_bit_policies(model) == [policy] and sixteen_bit_policies(copy) == []
    assert {weight.dtype for weight in copy.weights} == {"float32"}
    assert copy.inputs[0].dtype == copy.outputs[0].dtype == "float32"
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    np.testing.assert_allclose(copy(images()), np.float32(model(images())), atol=0.02)
    assert sixteen_bit_policies(model) == [policy]  # it stays as it is
    record = compare_precisions(model, copy, images(), [policy])
    assert record["max_difference"] <= record["bound"] < 0.2
    copy.get_layer("conv").kernel.assign_add([[[[2.0] * 8] * 3] * 3] * 3)
    with pytest.raises(RuntimeError, match=f"in float32 what it gives in {policy}"):
        compare_precisions(model, copy, images(), [policy])


def test_under_a_16_bit_policy_of_the_process(monkeypatch):
    """What a layer makes without a dtype follows it."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
        assert sixteen_bit_policies(in_float32(model)) == []
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy(before)


def test_an_overflow_is_said():
    model = network("mixed_float16")
    model.get_layer("conv").kernel.assign(np.full((3, 3, 3, 8), 6e4))
    record = compare_precisions(model, in_float32(model), images(), ["mixed_float16"])
    assert record["max_difference"] is None


def dtypes_in(folder):
    """Of all attributes of all nodes in a SavedModel."""
    proto = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return {attribute.type for node in nodes for attribute in node.attr.values()}


@pytest.mark.slow
def test_the_graph_has_no_16_bits(tmp_path):
    """Attention and folded BatchNormalization, too; and the user learns of it."""
    own = {"dtype": "mixed_bfloat16"}
    image = keras.Input((6, 5, 1))
    x = keras.layers.Rescaling(1 / 255, **own)(image)
    x = keras.layers.Conv2D(4, 3, **own)(x)
    x = keras.layers.BatchNormalization(**own)(x)
    x = keras_attn.layers.SelfAttention2D(key_depth=2, value_depth=4, num_heads=2, **own)(x)
    x = keras.layers.GlobalAveragePooling2D(**own)(x)
    model = keras.Model(image, keras.layers.Dense(2, "softmax", **own)(x))
    folder = export_saved_model(model, tmp_path / "net")
    found = dtypes_in(folder)
    assert types_pb2.DT_FLOAT in found and types_pb2.DT_UINT8 in found
    assert not found & {types_pb2.DT_BFLOAT16, types_pb2.DT_HALF}
    assert any("computes in float32" in note for note in folder.notes)
    report = json.loads((folder / "assets.extra" / "export_report.json").read_text())
    assert report["precision"]["policies"] == ["mixed_bfloat16"]
    assert report["batch_normalizations_folded"] == 1
    bounds = {check["bound"] for check in report["checks"] if "bound" in check}
    assert max(bounds) < 1e-3  # those of float32
    assert "serve_attention" in {check.get("signature") for check in report["checks"]}


class Stubborn(keras.layers.Layer):
    """A layer of a user's that doesn't tell its arguments."""

    def __init__(self, factor):
        super().__init__(dtype="mixed_float16")
        self.factor = factor

    def call(self, x):
        return self.factor * x


def test_a_layer_that_cannot_be_made_again(tmp_path):
    image = keras.Input((4, 4, 1))
    model = keras.Model(image, keras.layers.Flatten(dtype="float16")(Stubborn(2.0)(image)))
    folder = export_saved_model(model, tmp_path / "net")
    assert "it computes in float16, mixed_float16, as float32 is not possible" in folder.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_every_format(policy, tmp_path):
    folder = export_saved_model(network(policy), tmp_path / "net")
    export_onnx(folder, tmp_path / "net.onnx")
    export_tflite(folder, tmp_path / "net.tflite")
    many = np.random.default_rng(0).integers(0, 256, (16, 12, 10, 3)).astype("float32")
    export_tflite_int8(folder, tmp_path / "int8.tflite", many, least_agreement=0.5)
