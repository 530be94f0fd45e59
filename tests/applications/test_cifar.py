"""The networks for 32x32 images, and what every constructor does with its arguments."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.layer_contract import assert_close
from helpers.network_checks import as_trained, logits, pixels
from keras_attn.applications import CIFARResNet, ResidualAttentionCIFAR, pyramid_outputs
from keras_attn.applications.common.preprocessing import CIFAR
from keras_attn.layers import AttentionModule, AugmentedConv2D, SqueezeExcite

SMALL = [
    pytest.param(lambda **k: CIFARResNet(8, **k), id="resnet"),
    pytest.param(lambda **k: CIFARResNet(8, attention="se", **k), id="se"),
    pytest.param(lambda **k: CIFARResNet(8, attention="aa", **k), id="aa"),
    pytest.param(lambda **k: ResidualAttentionCIFAR(56, **k), id="residual_attention"),
]
each_network = pytest.mark.parametrize("construct", SMALL)


def image(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, size=shape).astype("float32")


def split_counts(model):
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    norms = sum(
        int(np.prod(w.shape)) for w in model.trainable_weights if w.path.endswith(("gamma", "beta"))
    )
    return trainable - norms, trainable, model.count_params()


# Section 4.2 of the spec: convolutions and classifier, trainable, all.
@pytest.mark.parametrize(
    "depth, counts",
    [
        (56, (1_132_986, 1_148_858, 1_164_730)),
        (92, (1_931_706, 1_959_738, 1_987_770)),
        (128, (2_730_426, 2_770_618, 2_810_810)),
        (164, (3_529_146, 3_581_498, 3_633_850)),
        (236, (5_126_586, 5_203_258, 5_279_930)),
    ],
)
def test_parameters_of_residual_attention(depth, counts):
    assert split_counts(ResidualAttentionCIFAR(depth)) == counts


@pytest.mark.slow
def test_attention_452_follows_the_rule_of_two_r_at_the_bottom():
    assert split_counts(ResidualAttentionCIFAR(452))[0] == 10_140_090


def test_parameters_of_resnet():
    assert split_counts(CIFARResNet(20))[1] == 269_722  # He et al.: 0.27M
    assert split_counts(CIFARResNet(110))[1] == 1_727_962  # 1.7M


def test_where_attention_stands():
    def stages(model, layer):
        return [one.name[:13] for one in model.layers if isinstance(one, layer)]

    every = [f"stage{stage}_block{block}" for stage in (1, 2, 3) for block in (1, 2, 3)]
    assert stages(CIFARResNet(20, attention="se"), SqueezeExcite) == every
    assert stages(CIFARResNet(20, attention="aa"), AugmentedConv2D) == every[3:]
    chosen = CIFARResNet(20, attention="se", attention_stages=[3])
    assert stages(chosen, SqueezeExcite) == every[6:]
    assert stages(CIFARResNet(20), (SqueezeExcite, AugmentedConv2D)) == []
    assert len(stages(ResidualAttentionCIFAR(92), AttentionModule)) == 6
    assert stages(ResidualAttentionCIFAR(56, attention=None), AttentionModule) == []


def test_augmented_convolutions_of_the_narrow_nets():
    layer = CIFARResNet(20, attention="aa").get_layer("stage3_block1_conv1")
    assert (layer.num_heads, layer.key_depth, layer.value_depth) == (4, 16, 16)
    assert layer.strides == (2, 2)
    assert layer.attention.relative_width.shape == (15, 4)
    dynamic = CIFARResNet(20, attention="aa", input_shape=(None, None, 3))
    for known, unknown in zip(
        CIFARResNet(20, attention="aa").weights, dynamic.weights, strict=True
    ):
        assert known.shape == unknown.shape


def test_the_baseline_without_masks_has_the_trunks_depth():
    plain = ResidualAttentionCIFAR(56, attention=None)
    masked = ResidualAttentionCIFAR(56)
    trunk = sum("mask" not in w.path for w in masked.weights)
    assert len(plain.weights) == trunk


@each_network
def test_probabilities(construct):
    y = construct()(image(3, 32, 32, 3))
    assert y.shape == (3, 10)
    np.testing.assert_allclose(np.sum(y, axis=-1), 1, rtol=1e-5)


@each_network
def test_any_size_with_a_top(construct):
    model = construct(input_shape=(None, None, 3))
    for size in ((32, 32), (17, 40), (8, 9)):
        assert model(image(1, *size, 3)).shape == (1, 10)


@each_network
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.filterwarnings("ignore:This model usually expects 1 or 3 input channels")
def test_no_top(construct, channels):
    model = construct(include_top=False, input_shape=(None, None, channels))
    assert model.output_shape[:3] == (None, None, None)
    assert construct(include_top=False).output_shape == model.output_shape


@each_network
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_pooling(construct, pooling):
    features = construct(include_top=False)
    model = construct(include_top=False, pooling=pooling)
    model.set_weights(features.get_weights())
    x = image(1, 16, 24, 3)
    reduce = np.mean if pooling == "avg" else np.max
    assert_close(model(x).numpy(), reduce(features(x).numpy(), axis=(1, 2)))


@each_network
def test_input_tensor(construct):
    image_input = keras.Input((32, 32, 5))
    x = keras.layers.Conv2D(3, 1)(image_input)
    model = construct(input_tensor=x)
    assert model.inputs[0] is image_input
    assert model(image(1, 32, 32, 5)).shape == (1, 10)


@each_network
def test_serialization(construct, tmp_path):
    model = construct()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert len(again.weights) == len(model.weights)
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    x = image(2, 32, 32, 3)
    assert_close(logits(construct(weights=path), x), logits(model, x), 1e-6)


@each_network
def test_last_layer(construct):
    assert construct().layers[-1].activation is keras.activations.softmax
    logits = construct(classifier_activation=None)
    assert logits.layers[-1].activation is keras.activations.linear


@each_network
def test_every_weight_gets_a_gradient(construct):
    model = construct()
    with tf.GradientTape() as tape:
        y = model(image(4, 32, 32, 3), training=True)
        loss = -tf.reduce_mean(tf.math.log(tf.reduce_sum(y * np.eye(10)[[1, 2, 3, 4]], axis=-1)))
    for weight, gradient in zip(
        model.trainable_weights,
        tape.gradient(loss, [w.value for w in model.trainable_weights]),
        strict=True,
    ):
        assert gradient is not None, weight.path
        assert float(tf.reduce_max(tf.abs(gradient))) > 0, weight.path


@each_network
def test_mixed_precision_ends_in_float32(construct):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = construct()
        y = model(image(2, 32, 32, 3))
    finally:
        keras.config.set_dtype_policy(policy)
    assert y.dtype == "float32"
    assert model.layers[2].compute_dtype == "float16"
    np.testing.assert_allclose(np.sum(y, axis=-1), 1, rtol=1e-3)


@each_network
def test_pyramid(construct):
    model = construct(include_top=False)
    levels = pyramid_outputs(model)
    assert list(levels) == ["P0", "P1", "P2"]
    maps = keras.Model(model.input, levels)(image(1, 32, 24, 3))
    for exponent, name in enumerate(levels):
        assert maps[name].shape[1:3] == (32 >> exponent, 24 >> exponent)
    chosen = construct(include_top=False, pyramid_outputs=["P2", "P1"])
    assert list(chosen.output) == ["P1", "P2"]
    assert list(construct(include_top=False, pyramid_outputs=True).output) == list(levels)


def test_pyramid_of_another_model():
    with pytest.raises(ValueError, match="`model` must be a network of keras_attn.applications"):
        pyramid_outputs(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="head")]))


@each_network
def test_preprocessing_inside_and_outside_agree(construct):
    inside = construct(include_preprocessing=True)
    outside = construct()
    outside.set_weights(inside.get_weights()[-len(outside.weights) :])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    kept = pixels.copy()
    assert_close(
        outside(CIFAR.preprocess_input(pixels)).numpy(), inside(pixels).numpy(), tolerance=1e-4
    )
    np.testing.assert_array_equal(pixels, kept)
    as_tensor = CIFAR.preprocess_input(tf.constant(pixels))
    assert_close(as_tensor.numpy(), CIFAR.preprocess_input(pixels), 1e-6)
    first = CIFAR.preprocess_input(pixels.transpose(0, 3, 1, 2), data_format="channels_first")
    assert_close(first.transpose(0, 2, 3, 1), CIFAR.preprocess_input(pixels), 1e-6)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"weights": "imagenet"}, "The `weights` argument should be either `None`"),
        ({"weights": "nowhere.weights.h5"}, "or the path to the weights file to be loaded"),
        (
            {"pooling": "mean"},
            "`pooling` must be one of None, 'avg', 'max'. Received: pooling='mean",
        ),
        ({"classes": 0}, "`classes` must be a positive integer. Received: classes=0"),
        ({"classes": 2.5}, "`classes` must be a positive integer. Received: classes=2.5"),
        ({"input_shape": (32, 32)}, "`input_shape` must be a tuple of three integers."),
        ({"input_shape": (7, 32, 3)}, "Input size must be at least 8x8; Received: input_shape="),
        ({"input_shape": (32, 32, None)}, "`input_shape` must say the number of channels"),
        ({"pyramid_outputs": True}, "`pyramid_outputs` needs `include_top=False`"),
        (
            {"pyramid_outputs": ["P7"], "include_top": False},
            "`pyramid_outputs` must be a boolean or hold some of P0, P1, P2",
        ),
    ],
)
def test_wrong_arguments_of_every_constructor(kwargs, message):
    with pytest.raises(ValueError) as error:
        CIFARResNet(8, **kwargs)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "construct, kwargs, message",
    [
        (
            CIFARResNet,
            {"depth": 21},
            "`depth` must be 6 n + 2 with n at least 1. Received: depth=21",
        ),
        (CIFARResNet, {"depth": 2}, "`depth` must be 6 n + 2"),
        (CIFARResNet, {"attention": "cbm"}, "`attention` must be one of None, 'se', "),
        (CIFARResNet, {"attention_stages": [4]}, "`attention_stages` must hold stages from 1 to 3"),
        (
            ResidualAttentionCIFAR,
            {"depth": 57},
            "`depth` must be one of 56, 92, 128, 164, 236, 452",
        ),
        (ResidualAttentionCIFAR, {"attention": "se"}, "`attention` must be one of 'mixed'"),
        (
            ResidualAttentionCIFAR,
            {"mask_depths": (3, 2)},
            "`mask_depths` must have one entry per st",
        ),
    ],
)
def test_wrong_arguments_of_one_family(construct, kwargs, message):
    with pytest.raises(ValueError) as error:
        construct(**kwargs)
    assert message in str(error.value)


def test_only_softmax_with_weights(tmp_path):
    path = tmp_path / "a.weights.h5"
    CIFARResNet(8).save_weights(path)
    with pytest.raises(ValueError, match="Only `None` and `softmax` activations are allowed"):
        CIFARResNet(8, weights=path, classifier_activation="sigmoid")


def test_unusual_channels_warn():
    with pytest.warns(UserWarning, match="This model usually expects 1 or 3 input channels"):
        CIFARResNet(8, input_shape=(32, 32, 5))


@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.slow), "torch"])
def test_other_backends_and_channels_first(backend, tmp_path):
    """The same weights give the same logits, and the same in channels_first."""
    constructs = {
        "se": "CIFARResNet(8, attention='se', weights={path!r}, classifier_activation=None)",
        "aa": "CIFARResNet(8, attention='aa', weights={path!r}, classifier_activation=None)",
        "ra": "ResidualAttentionCIFAR(56, weights={path!r}, classifier_activation=None)",
    }
    if backend == "jax":
        del constructs["ra"]  # a minute of eager compilation; the contract runs its layers there
    x = pixels(2, 32, 32, 3)
    np.save(tmp_path / "x.npy", x)
    expected = {}
    keras.utils.set_random_seed(0)
    for name, text in constructs.items():
        model = as_trained(eval(text.format(path=None)))
        model.save_weights(tmp_path / f"{name}.weights.h5")
        expected[name] = model(x).numpy()
    script = "import sys, numpy as np, keras\nfrom keras_attn.applications import *\n"
    script += "x = np.load('x.npy')\nout = {}\n"
    for form in ("channels_last", "channels_first"):
        script += f"keras.config.set_image_data_format({form!r})\n"
        script += "" if form == "channels_last" else "x = x.transpose(0, 3, 1, 2)\n"
        for name, text in constructs.items():
            made = text.format(path=f"{name}.weights.h5")
            script += f"out['{name} {form}'] = keras.ops.convert_to_numpy({made}(x))\n"
    script += "np.savez('out.npz', **out)\n"
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    with np.load(tmp_path / "out.npz") as out:
        assert len(out.files) == 2 * len(constructs)
        for key in out.files:
            assert_close(out[key], expected[key.split()[0]], 1e-4)
