"""Residual networks, plain, with Squeeze-and-Excitation, and attention augmented."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from helpers.layer_contract import assert_close
from helpers.marks import thorough
from helpers.network_checks import (
    NetworkChecks,
    as_trained,
    count_trainable,
    image,
    layer_names,
    narrow,
    pixels,
    read_layer_names,
)
from helpers.oracles.prototxt import convolve
from keras_attn import applications
from keras_attn.applications import (
    AAResNet34,
    AAResNet50,
    ResNet18,
    ResNet50,
    SEResNet18,
    SEResNet50,
    SEResNeXt50,
    aa_resnet,
    se_resnet,
)
from keras_attn.layers import AugmentedConv2D, GroupedConv2D, SqueezeExcite

NARROW = narrow(se_resnet, aa_resnet)


class TestSEResNet(NetworkChecks):
    make = staticmethod(SEResNet18)
    slim = NARROW
    channels = 256


@pytest.mark.thorough
class TestAAResNet(NetworkChecks):
    make = staticmethod(AAResNet34)
    slim = NARROW
    channels = 256


@pytest.mark.thorough
class TestSEResNeXt(NetworkChecks):
    make = staticmethod(SEResNeXt50)
    slim = NARROW
    channels = 1024


SLOW = ("ResNet101", "ResNet152", "SEResNet101", "SEResNet152", "SEResNeXt101", "SENet154")
SLOW += ("AAResNet101", "AAResNet152")

# The papers' counts, exact: sections 3.2 and 4.1 of the specs.
COUNTS = {
    "ResNet18": 11_689_512,
    "ResNet34": 21_797_672,
    "ResNet50": 25_557_032,
    "ResNet101": 44_549_160,
    "ResNet152": 60_192_808,
    "SEResNet18": 11_778_592,
    "SEResNet34": 21_958_868,
    "SEResNet50": 28_088_024,
    "SEResNet101": 49_326_872,
    "SEResNet152": 66_821_848,
    "SEResNeXt50": 27_559_896,
    "SEResNeXt101": 48_955_416,
    "SENet154": 115_088_984,
    "AAResNet34": 20_745_072,
    "AAResNet50": 25_809_392,
    "AAResNet101": 45_386_728,
    "AAResNet152": 61_613_536,
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n if "50" in n else thorough(n)
        for n in COUNTS
    ],
)
def test_parameters_and_names(name, built):
    model = built(name)
    assert count_trainable(model) == COUNTS[name]
    assert layer_names(model) == read_layer_names(model.name)


@pytest.mark.parametrize(
    "ratio, trainable",
    [
        (0.25, 24_303_728),
        pytest.param(0.5, 22_342_680, marks=pytest.mark.slow),
        pytest.param(0.75, 20_735_496, marks=pytest.mark.slow),
        (1.0, 19_383_560),
    ],
)
def test_parameters_of_the_sweep(ratio, trainable, no_values):
    assert count_trainable(AAResNet50(kappa=ratio, upsilon=ratio)) == trainable


@pytest.mark.parametrize("name", ["SEResNet50", "AAResNet50"])
def test_attention_none_is_the_baseline(name, built):
    model, plain = built(name, attention=None), built("ResNet50")
    assert model.name == plain.name == "resnet50"
    assert [w.path for w in model.weights] == [w.path for w in plain.weights]
    assert count_trainable(model) == 25_557_032


def test_attention_of_the_plain_constructor(built, no_values):
    assert layer_names(ResNet50(attention="se", geometry="caffe")) == layer_names(
        built("SEResNet50")
    )
    same, augmented_50 = ResNet50(attention="aa"), built("AAResNet50")
    assert layer_names(same) == layer_names(augmented_50)
    assert [w.shape for w in same.weights] == [w.shape for w in augmented_50.weights]
    chosen = ResNet18(attention="se", stages=[4])
    assert [x.name for x in chosen.layers if isinstance(x, SqueezeExcite)] == [
        "stage4_block1_se",
        "stage4_block2_se",
    ]


# ---------------------------------------------------------------------- Squeeze-and-Excitation


def se_parameters(**kwargs):
    model = SEResNet50(include_top=False, **kwargs)
    return sum(x.count_params() for x in model.layers if isinstance(x, SqueezeExcite))


# Section 3.3 of the spec: SE-ResNet-50 by ratio, by stage, and with SE on the 3x3.
@pytest.mark.parametrize(
    "kwargs, parameters",
    [
        pytest.param({"ratio": 2}, 20_142_208, marks=pytest.mark.slow),
        pytest.param({"ratio": 4}, 10_078_656, marks=pytest.mark.slow),
        pytest.param({"ratio": 8}, 5_046_880, marks=pytest.mark.slow),
        ({"ratio": 16}, 2_530_992),
        pytest.param({"ratio": 32}, 1_273_048, marks=pytest.mark.slow),
        ({"stages": [1]}, 25_392),
        pytest.param({"stages": [2]}, 133_248, marks=pytest.mark.slow),
        pytest.param({"stages": [3]}, 792_960, marks=pytest.mark.slow),
        ({"stages": [4]}, 1_579_392),
        pytest.param({"stages": []}, 0, marks=pytest.mark.slow),
        ({"placement": "3x3"}, 161_196),
        thorough(({"placement": "post"}, 2_530_992)),
        thorough(({"placement": "identity"}, 2_530_992)),
    ],
)
@pytest.mark.thorough
def test_the_papers_ablation(kwargs, parameters, no_values):
    assert se_parameters(**kwargs) == parameters


def sources(model, name):
    """The layers whose outputs this one reads."""
    inputs = model.get_layer(name).input
    inputs = inputs if isinstance(inputs, list) else [inputs]
    return [x._keras_history.operation.name for x in inputs]


@pytest.mark.parametrize(
    "placement, source, reader, beside",
    [
        ("standard", "block2_bn3", "block2_add", ["block1_relu3"]),
        ("pre", "block1_relu3", "block2_conv1", []),
        ("post", "block2_relu3", "block3_conv1", []),
        ("identity", "block1_relu3", "block2_add", ["block2_bn3"]),
        ("3x3", "block2_relu2", "block2_conv3", []),
    ],
)
def test_placement(placement, source, reader, beside, no_values, few_blocks):
    """What the attention of a block reads, and what reads it."""
    few_blocks(SEResNet50, (3, 1, 1, 1))
    model = SEResNet50(include_top=False, placement=placement, stages=[1])
    assert sources(model, "stage1_block2_se") == [f"stage1_{source}"]
    names = {f"stage1_{name}" for name in ["block2_se", *beside]}
    assert set(sources(model, f"stage1_{reader}")) == names


def test_a_block_by_hand(few_blocks):
    """SE on the branch, before the sum: relu(gate * branch + shortcut)."""
    few_blocks(SEResNet18, (1, 1, 1, 1))
    model = SEResNet18(input_shape=(None, None, 3))
    at = {name: model.get_layer(f"stage2_block1_{name}").output for name in ("bn2", "relu2")}
    at["shortcut"] = model.get_layer("stage2_block1_projection_bn").output
    got = {k: v.numpy() for k, v in keras.Model(model.input, at)(image(1, 33, 47, 3)).items()}
    w1, w2, b1, b2 = model.get_layer("stage2_block1_se").get_weights()
    assert w1.shape == (128, 8)
    gate = np.maximum(got["bn2"].mean(axis=(1, 2)) @ w1 + b1, 0) @ w2 + b2
    gate = 1 / (1 + np.exp(-gate))
    assert_close(got["relu2"], np.maximum(gate * got["bn2"] + got["shortcut"], 0))


# -------------------------------------------------------------------------------- geometries


def windows(x, starts, size=3):
    """Maxima of windows that begin at `starts`, cut off at the edge."""
    rows, columns = starts
    y = [
        [x[max(i, 0) : i + size, max(j, 0) : j + size].max(axis=(0, 1)) for j in columns]
        for i in rows
    ]
    return np.array(y)


@pytest.mark.parametrize("geometry", ["caffe", "torchvision"])
@pytest.mark.parametrize("size", [(64, 90), (66, 61)])
def test_where_the_stem_pools(geometry, size, few_blocks):
    """Without padding and in ceil mode, or from one pixel before the edge on."""
    few_blocks(ResNet18, (1, 1, 1, 1))
    model = ResNet18(include_top=False, geometry=geometry)
    outputs = [model.get_layer(name).output for name in ("stem_relu", "stem_pool")]
    stem, pooled = (y.numpy()[0] for y in keras.Model(model.input, outputs)(image(1, *size, 3)))
    if geometry == "caffe":
        starts = [range(0, 2 * (-(-(n - 3) // 2) + 1), 2) for n in stem.shape[:2]]
    else:
        starts = [range(-1, 2 * ((n - 1) // 2), 2) for n in stem.shape[:2]]
    np.testing.assert_array_equal(pooled, windows(stem, starts))


@pytest.mark.parametrize(
    "constructor, geometry, strided",
    [
        (SEResNet50, "caffe", "conv1"),
        (SEResNet50, "torchvision", "conv2"),
        (SEResNeXt50, "caffe", "conv2"),
        (SEResNeXt50, "torchvision", "conv2"),
        (AAResNet50, "torchvision", "conv2"),
    ],
)
def test_where_a_bottleneck_strides(constructor, geometry, strided, few_blocks):
    """With the stride in the first 1x1, only every second pixel of the map before counts."""
    few_blocks(constructor, (1, 1, 1, 1))
    model = constructor(include_top=False, geometry=geometry)
    before, after = (model.get_layer(name).output for name in ("P2", "stage2_block1_bn2"))
    branch = keras.Model(before, after)
    x = image(1, 8, 10, 256)
    sampled = np.zeros_like(x)
    sampled[:, ::2, ::2] = x[:, ::2, ::2]
    same = np.allclose(branch(x), branch(sampled), atol=1e-6)
    assert same == (strided == "conv1")
    for name in ("conv1", "conv2"):
        strides = model.get_layer(f"stage2_block1_{name}").strides
        assert strides == ((2, 2) if name == strided else (1, 1))


def test_strided_convolutions_are_padded_on_both_sides(few_blocks):
    few_blocks(ResNet50, (1, 1, 1, 1))
    model = ResNet50(include_top=False)
    x = image(1, 15, 12, 3)
    got = keras.Model(model.input, model.get_layer("stem_conv").output)(x).numpy()
    kernel = model.get_layer("stem_conv").kernel.numpy()
    assert_close(got[0], convolve(x[0], kernel, 2, 3, 1))
    at = [model.get_layer(f"stage2_block1_{name}").output for name in ("relu1", "conv2")]
    before, after = (y.numpy() for y in keras.Model(model.input, at)(image(1, 64, 45, 3)))
    kernel = model.get_layer("stage2_block1_conv2").kernel.numpy()
    assert_close(after[0], convolve(before[0], kernel, 2, 1, 1))


def test_defaults_of_the_families():
    def default(constructor, name):
        return inspect.signature(constructor).parameters[name].default

    assert default(ResNet50, "geometry") == default(AAResNet50, "geometry") == "torchvision"
    assert default(SEResNet50, "geometry") == "caffe"
    assert default(AAResNet34, "kappa") == default(AAResNet34, "upsilon") == 0.25
    assert (default(AAResNet50, "kappa"), default(AAResNet50, "upsilon")) == (0.2, 0.1)


@pytest.mark.slow
def test_senet154(no_values):
    """Three convolutions in the stem, 3x3 projections where it strides, dropout of 0.2."""
    model = applications.SENet154()
    stem = [model.get_layer(f"stem_conv{i}") for i in (1, 2, 3)]
    assert [(x.filters, x.strides) for x in stem] == [(64, (2, 2)), (64, (1, 1)), (128, (1, 1))]
    sizes = [model.get_layer(f"stage{i}_block1_projection").kernel_size for i in (1, 2, 3, 4)]
    assert sizes == [(1, 1), (3, 3), (3, 3), (3, 3)]
    assert model.get_layer("dropout").rate == 0.2
    grouped = [x for x in model.layers if isinstance(x, GroupedConv2D)]
    assert len(grouped) == 50 and {x.groups for x in grouped} == {64}
    assert [model.get_layer(f"stage1_block1_conv{i}").filters for i in (1, 2, 3)] == [128, 256, 256]


# ----------------------------------------------------------------------- Attention Augmented


def augmented(model):
    return [x for x in model.layers if isinstance(x, AugmentedConv2D)]


def test_augmented_convolutions(built):
    model = built("AAResNet50")
    layers = augmented(model)
    assert [x.name for x in layers] == [
        f"stage{stage}_block{i + 1}_conv2"
        for stage, blocks in ((2, 4), (3, 6), (4, 3))
        for i in range(blocks)
    ]
    assert {x.key_depth for x in layers} == {160}
    assert [x.value_depth for x in layers] == [8] * 4 + [24] * 6 + [48] * 3
    assert [x.attention_strides for x in layers] == [(2, 2)] * 4 + [(1, 1)] * 9
    # The tables of maps of 14, 14 and 7.
    assert [x.attention.relative_width.shape[0] for x in layers] == [27] * 10 + [13] * 3
    assert not any(x.use_bias for x in layers)
    assert [x.name[-5:] for x in augmented(built("AAResNet34"))] == ["conv1"] * 13


def test_tables_of_known_and_unknown_sizes(no_values, few_blocks):
    few_blocks(AAResNet34, (1, 1, 1, 1))

    def tables(**kwargs):
        model = AAResNet34(include_top=False, **kwargs)
        return {x.attention.relative_width.shape[0] for x in augmented(model)}

    assert tables() == tables(input_shape=(None, 64, 3)) == {27, 13}
    assert tables(input_shape=(320, 320, 3)) == {39, 19}
    assert tables(downsample=False) == {55, 27, 13}
    assert tables(stages=[3, 4]) == {13}  # the first of them is pooled, 14 to 7


def test_fully_attentional(no_values):
    layers = augmented(AAResNet50(include_top=False, kappa=1.0, upsilon=1.0, stages=[4]))
    assert len(layers) == 3
    assert all(x.convolution is None for x in layers)


def test_without_values_it_is_the_plain_network(no_values):
    model = AAResNet34(include_top=False, upsilon=0.0)
    assert count_trainable(model) == count_trainable(AAResNet34(include_top=False, attention=None))


# ------------------------------------------------------------------- what all of them have


@pytest.mark.parametrize(
    "constructor, kwargs, message",
    [
        (ResNet18, {"attention": "cbm"}, "`attention` must be one of None, 'se', "),
        (ResNet18, {"geometry": "mxnet"}, "`geometry` must be one of 'caffe', 'torchvision'"),
        (ResNet18, {"stages": [0]}, "`stages` must hold stages from 1 to 4. Received: stages=[0]"),
        (SEResNet18, {"attention": "aa"}, "`attention` must be one of None, 'se'. Received"),
        (SEResNet18, {"placement": "3x3"}, "`placement` can be '3x3' only where a block has one"),
        (SEResNet50, {"placement": "front"}, "`placement` must be one of 'standard', 'pre', 'p"),
        (SEResNet18, {"ratio": 0}, "`ratio` must be a positive integer. Received: ratio=0"),
        (SEResNet18, {"ratio": 65}, "`ratio` must not be greater than the number of input chann"),
        (SEResNet18, {"stages": [5]}, "`stages` must hold stages from 1 to 4"),
        (AAResNet34, {"kappa": 0}, "`kappa` must be in (0, 1]. Received: kappa=0"),
        (AAResNet34, {"upsilon": 1.5}, "`upsilon` must be in [0, 1]. Received: upsilon=1.5"),
        (AAResNet34, {"num_heads": 0}, "`num_heads` must be a positive integer"),
        (AAResNet34, {"min_key_dim": 0}, "`min_key_dim` must be a positive integer"),
    ],
)
def test_wrong_arguments(constructor, kwargs, message):
    with pytest.raises(ValueError) as error:
        constructor(**kwargs)
    assert message in str(error.value)


def test_an_argument_of_another_family():
    with pytest.raises(TypeError, match="kappa"):
        SEResNet18(kappa=0.25)


def test_a_checkpoint_of_another_variant(tmp_path, few_blocks):
    few_blocks(ResNet18, (1, 1, 1, 1))
    few_blocks(SEResNet18, (1, 1, 1, 1))
    path = tmp_path / "plain.weights.h5"
    ResNet18(include_top=False).save_weights(path)
    with pytest.raises(ValueError, match="holds the weights of another network"):
        SEResNet18(include_top=False, weights=path)


FRESH = """
import sys, numpy as np, keras, keras_attn
x, out = np.load("x.npy"), {}
if keras.backend.backend() == "tensorflow":
    for name in ("SEResNet18", "AAResNet34"):
        out[name] = keras.saving.load_model(f"{name}.keras").predict(x, verbose=0)
else:
    for form in ("channels_last", "channels_first"):
        keras.config.set_image_data_format(form)
        image = x if form == "channels_last" else x.transpose(0, 3, 1, 2)
        for name in ("SEResNet18", "AAResNet34"):
            model = getattr(keras_attn.applications, name)(
                classes=7,
                input_shape=image.shape[1:],
                weights=f"{name}.keras",
                classifier_activation=None,
            )
            out[f"{name} {form}"] = model.predict(image, verbose=0)
np.savez(f"{keras.backend.backend()}.npz", **out)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two networks as files, an image, and what they say of it."""
    folder = tmp_path_factory.mktemp("saved")
    x = pixels(1, 64, 96, 3)
    np.save(folder / "x.npy", x)
    expected = {}
    keras.utils.set_random_seed(0)
    for name in ("SEResNet18", "AAResNet34"):
        model = as_trained(
            getattr(applications, name)(
                classes=7, input_shape=(64, 96, 3), classifier_activation=None
            )
        )
        model.save(folder / f"{name}.keras")
        expected[name] = model(x).numpy()
    return folder, expected


# Other backends are in the fast suite with the smaller networks of test_applications_cifar.
@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
@pytest.mark.backend
@pytest.mark.slow
def test_in_a_fresh_process(backend, saved):
    """`.keras` files on TensorFlow; their weights elsewhere, in both data formats."""
    folder, expected = saved
    run = subprocess.run(
        [sys.executable, "-c", FRESH],
        cwd=folder,
        env={**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    with np.load(folder / f"{backend}.npz") as out:
        assert len(out.files) == (2 if backend == "tensorflow" else 4)
        for key in out.files:
            assert_close(out[key], expected[key.split()[0]], 1e-4)
