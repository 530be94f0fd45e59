"""Residual Attention Networks: the authors' prototxts layer by layer and number by number."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.marks import rest_thorough
from helpers.network_checks import (
    NetworkChecks,
    as_trained,
    count_trainable,
    image,
    layer_names,
    pixels,
    read_layer_names,
)
from helpers.oracles import prototxt
from keras_attn import applications
from keras_attn.applications.residual_attention import imagenet
from keras_attn.applications.residual_attention.imagenet import MASK_DEPTHS
from keras_attn.layers import (
    AttentionModule,
    BatchNormalization,
    InceptionResNetUnit,
    PreActivationBottleneck,
    ResNeXtBottleneck,
)


@pytest.mark.thorough
class TestResidualAttention(NetworkChecks):
    make = staticmethod(applications.ResidualAttention56)
    slim = {
        (imagenet, "FILTERS"): (64, 64, 128),
        (imagenet, "FINAL_FILTERS"): 128,
        (imagenet, "FINAL_UNITS"): 1,
    }
    channels = 128


# Section 1.1 of the spec, from the prototxts: trainable, all.
@pytest.mark.parametrize(
    "name, counts",
    [
        ("ResidualAttention56", (31_810_728, 31_883_432)),
        pytest.param("ResidualAttention92", (52_466_344, 52_599_976), marks=pytest.mark.slow),
        ("ResidualAttentionNeXt56", (31_318_824, 31_417_256)),
        pytest.param("ResidualAttentionNeXt92", (52_102_952, 52_274_088), marks=pytest.mark.slow),
        pytest.param(  # our design
            "ResidualAttentionInception56", (34_034_344, 34_121_896), marks=pytest.mark.slow
        ),
    ],
)
def test_parameters_and_names(name, counts, built):
    model = built(name)
    assert (count_trainable(model), model.count_params()) == counts
    assert layer_names(model) == read_layer_names(model.name)
    modules = [one for one in model.layers if isinstance(one, AttentionModule)]
    assert [(one.name, one.mask_depth) for one in modules] == [
        (f"stage{stage}_attention{i + 1}", 4 - stage)
        for stage in (1, 2, 3)
        for i in range(stage if name.endswith("92") else 1)
    ]


@pytest.fixture(scope="module", params=rest_thorough(["56", "next56"]))
def prototxt_and_model(request):
    constructor = {
        "56": applications.ResidualAttention56,
        "next56": applications.ResidualAttentionNeXt56,
    }[request.param]
    model = constructor(input_shape=(None, None, 3), classifier_activation=None)
    prototxt.randomize(model)
    return prototxt.read(request.param), model


def recorded_calls(model, x, monkeypatch):
    """Every call of a convolution or a BatchNormalization: (layer, shape of the output)."""
    calls = []

    def record(cls):
        original = cls.call

        def call(self, *args, **kwargs):
            y = original(self, *args, **kwargs)
            calls.append((self, tuple(y.shape)))
            return y

        monkeypatch.setattr(cls, "call", call)

    record(keras.layers.Conv2D)
    record(BatchNormalization)
    model(x)
    return calls


def read_before(layers, kinds):
    """Layer name -> the nearest layers of these kinds that it reads, through all others."""
    reads, sources = {}, {"data": set()}
    for layer in layers:
        before = set().union(*(sources[blob] for blob in layer["bottom"]))
        if layer["type"] in kinds:
            reads[layer["name"]] = before
            before = {layer["name"]}
        sources[layer["top"][0]] = before
    return reads


@pytest.mark.thorough
def test_layer_by_layer(prototxt_and_model, monkeypatch):
    """Each convolution and BN of the prototxt is called once, in an order of its graph.

    Ours computes a skip unit on the way down, the prototxt lists it on the way up: therefore the
    order of the graph (nothing before what it reads), not of the list.
    """
    layers, model = prototxt_and_model
    calls = recorded_calls(model, image(1, 224, 224, 3), monkeypatch)
    listed = {x["name"]: x for x in layers if x["type"] in ("Convolution", "BN")}
    named = prototxt.names_of([layer for layer, _ in calls], layers)
    assert set(named) == set(listed)
    assert len(calls) == len(listed) == 110 + 107
    shapes = {id(layer): shape for layer, shape in calls}
    for name, layer in named.items():
        expected = listed[name]
        channels, height, width = expected["out_shape"]
        assert shapes[id(layer)] == (1, height, width, channels), name
        trainable = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
        assert trainable == expected["params"], name
        assert layer.count_params() - trainable == expected.get("moving", 0), name
        if expected["type"] == "BN":
            assert (layer.epsilon, layer.momentum) == (1e-5, 0.9)
        else:
            assert layer.kernel_size == (expected["kernel"],) * 2, name
            assert layer.strides == (expected["stride"],) * 2, name
            assert layer.groups == expected["group"], name
            assert not layer.use_bias, name

    reads = read_before(layers, ("Convolution", "BN"))
    order = {id(layer): i for i, (layer, _) in enumerate(calls)}
    for name, layer in named.items():
        for source in reads[name]:
            assert order[id(named[source])] < order[id(layer)], f"{name} before {source}"


@pytest.mark.parametrize("size", [(65, 37), pytest.param((64, 32), marks=pytest.mark.thorough)])
def test_the_whole_network_in_numpy(prototxt_and_model, size):
    """The prototxt's own graph with our weights gives our last map and logits."""
    layers, model = prototxt_and_model
    named = prototxt.names_of(prototxt.weighty_layers(model), layers)
    x = image(1, *size, 3, seed=3)
    blobs = prototxt.run(layers, prototxt.weights_of(named), data=x[0].astype("float64"))
    last = "post_res_4_3/bn" if "final_bn" in layer_names(model) else "post_res_4_3"
    features = keras.Model(model.input, [model.get_layer("P5").output, model.outputs[0]])
    got, logits = features(x)
    assert_close(got.numpy()[0], blobs[last], 1e-4)
    assert_close(logits.numpy()[0], blobs["classifier"], 1e-4)


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("name, unit, channels", [("56", None, 12), ("next56", "resnext", 64)])
def test_a_module_in_numpy(name, unit, channels, stage):
    """Interpolation, windows of the pools, BN, and (1 + M) T, at odd sides, to 1e-5."""
    letter = "ABC"[stage - 1]
    module = AttentionModule(
        mask_depth=MASK_DEPTHS[stage - 1],
        unit=unit or "pre_activation",
        name=f"stage{stage}_attention1",
    )
    x = image(1, 27, 19, channels, seed=stage)
    module.build(x.shape)
    prototxt.randomize(module, seed=stage)
    layers = prototxt.read(name)
    named = prototxt.names_of(prototxt.weighty_layers(module), layers)
    begin = f"pre_res_{stage}"
    part = prototxt.between(layers, begin, f"Attention{letter}_1")
    if unit == "resnext" and part[0]["name"] == f"{begin}/relu":
        part = part[1:]  # the ReLU at the end of the unit before
    blobs = prototxt.run(part, prototxt.weights_of(named), **{begin: x[0].astype("float64")})
    y, mask = module(x, return_attention=True)
    assert_close(mask.numpy()[0], blobs[f"Attention{letter}_1/mask"])
    assert_close(y.numpy()[0], blobs[f"Attention{letter}_1"])


@pytest.mark.parametrize(
    "name, unit", [("56", PreActivationBottleneck), ("next56", ResNeXtBottleneck)]
)
@pytest.mark.parametrize("size", [(9, 13), (8, 12), (1, 2)])
def test_a_strided_unit_in_numpy(name, unit, size):
    layer = unit(64, strides=2, name="stage2_unit1")
    x = image(1, *size, 32, seed=5)
    layer.build(x.shape)
    prototxt.randomize(layer)
    layers = prototxt.read(name)
    named = prototxt.names_of(prototxt.weighty_layers(layer), layers)
    part = prototxt.between(layers, "AttentionA_1", "pre_res_2")
    if part[0]["name"] == "AttentionA_1/relu":
        part = part[1:]
    blobs = prototxt.run(part, prototxt.weights_of(named), AttentionA_1=x[0].astype("float64"))
    assert_close(layer(x).numpy()[0], blobs["pre_res_2"])


def test_an_inception_unit_in_numpy():
    """Our own design: branches of 1, 3 and 5 pixels, each of an eighth of the filters."""
    layer = InceptionResNetUnit(16, strides=2)
    x = image(1, 9, 7, 5)
    layer.build(x.shape)
    prototxt.randomize(layer)

    def weights(part):
        return [w.numpy().astype("float64") for w in part.weights]

    def conv_bn(x, conv, bn, stride=1):
        size = conv.kernel.shape[0]
        y = prototxt.convolve(x, weights(conv)[0], stride, size // 2, 1)
        gamma, beta, mean, variance = weights(bn)
        return (y - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    image64 = x[0].astype("float64")
    outputs = []
    for branch in layer.branches:
        y = image64
        convolutions = [one for one in branch if isinstance(one, keras.layers.Conv2D)]
        norms = [one for one in branch if isinstance(one, keras.layers.BatchNormalization)]
        for conv, bn in zip(convolutions, norms, strict=True):
            y = np.maximum(conv_bn(y, conv, bn, 2 if conv is convolutions[-1] else 1), 0)
        outputs.append(y)
    assert [y.shape for y in outputs] == [(5, 4, 2)] * 3
    shortcut = conv_bn(image64, layer.projection, layer.projection_bn, 2)
    expected = np.maximum(conv_bn(np.concatenate(outputs, -1), layer.conv, layer.bn) + shortcut, 0)
    assert_close(layer(x).numpy()[0], expected)


def test_images_of_320(monkeypatch):
    """The paper's test size, which the prototxt's window of 7x7 does not fit."""
    for (module, name), value in TestResidualAttention.slim.items():
        monkeypatch.setattr(module, name, value)
    model = applications.ResidualAttention56(input_shape=(320, 320, 3))
    y = model(image(1, 320, 320, 3))
    assert y.shape == (1, 1000)
    np.testing.assert_allclose(np.sum(y), 1, rtol=1e-5)


def test_without_masks(built):
    plain, masked = built("ResidualAttention56", masks=False), built("ResidualAttention56")
    assert not any(isinstance(one, AttentionModule) for one in plain.layers)
    assert len(plain.weights) == sum("mask" not in w.path for w in masked.weights)


@pytest.mark.parametrize("attention", ["channel", "spatial"])
def test_activation_and_learning_reach_the_modules(attention, no_values):
    model = applications.ResidualAttention56(
        include_top=False, mask_activation=attention, learning="naive"
    )
    modules = [one for one in model.layers if isinstance(one, AttentionModule)]
    assert {(one.attention, one.learning) for one in modules} == {(attention, "naive")}


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"mask_activation": "se"}, "`mask_activation` must be one of 'mixed', 'channel', 'sp"),
        ({"geometry": "mxnet"}, "`geometry` must be one of 'caffe', 'pytorchcv'. Received"),
        ({"learning": "attention"}, "`learning` must be one of 'residual', 'naive'"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        applications.ResidualAttention56(**kwargs)
    assert message in str(error.value)


@pytest.mark.thorough
def test_a_checkpoint_of_another_variant(tmp_path, monkeypatch):
    for (module, name), value in TestResidualAttention.slim.items():
        monkeypatch.setattr(module, name, value)
    path = tmp_path / "next.weights.h5"
    applications.ResidualAttentionNeXt56(include_top=False).save_weights(path)
    with pytest.raises(ValueError, match="holds the weights of another network"):
        applications.ResidualAttention56(include_top=False, weights=path)


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends_and_channels_first(backend, tmp_path):
    """The same weights in another process, in both data formats."""
    keras.utils.set_random_seed(0)
    model = as_trained(
        applications.ResidualAttentionNeXt56(
            classes=7, input_shape=(33, 47, 3), classifier_activation=None
        )
    )
    model.save_weights(tmp_path / "model.weights.h5")
    x = pixels(1, 33, 47, 3)
    np.save(tmp_path / "x.npy", x)
    script = """
import numpy as np, keras
from keras_attn.applications import ResidualAttentionNeXt56
x = np.load("x.npy")
out = {}
for form in ("channels_last", "channels_first"):
    keras.config.set_image_data_format(form)
    image = x if form == "channels_last" else x.transpose(0, 3, 1, 2)
    model = ResidualAttentionNeXt56(
        classes=7,
        input_shape=image.shape[1:],
        weights="model.weights.h5",
        classifier_activation=None,
    )
    out[form] = model.predict(image, verbose=0)
np.savez("out.npz", **out)
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    with np.load(tmp_path / "out.npz") as out:
        for form in ("channels_last", "channels_first"):
            assert_close(out[form], model(x).numpy(), 1e-4)
