"""Grad-CAM and its kin against NumPy, integrated gradients by completeness, and rollout by hand."""

import keras
import numpy as np
import pytest

from keras_attn.applications import CIFARResNet
from keras_attn.explain import METHODS, heat_maps
from keras_attn.explain.methods.gradients import integrated_gradients, map_stages
from keras_attn.explain.methods.rollout import rollout
from keras_attn.explain.watching import scores_before_probabilities
from keras_attn.insertion import insert_attention
from keras_attn.layers import SelfAttention2D, SqueezeExcite

HEIGHT, WIDTH, DEPTH, CLASSES = 7, 5, 11, 3
CAMS = ("grad_cam", "grad_cam++", "hires_cam")


def two_layers(activation="softmax"):
    """A 1x1 convolution with ReLU, and a dense layer of all its values."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    x = keras.layers.Conv2D(DEPTH, 1, activation="relu", name="conv")(inputs)
    x = keras.layers.Dense(CLASSES, activation=activation, name="head")(keras.layers.Flatten()(x))
    return keras.Model(inputs, x, name="two")


def run(model, images):
    return keras.ops.convert_to_numpy(model(images))


@pytest.fixture(scope="module")
def model():
    return two_layers()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).normal(size=(2, HEIGHT, WIDTH, 3)).astype("float32")


def by_numpy(model, images, classes, method):
    kernel, bias = (np.asarray(x, "float64") for x in model.get_layer("conv").get_weights())
    maps = np.maximum(np.einsum("bhwc,cd->bhwd", images, kernel[0, 0]) + bias, 0)
    dense = np.asarray(model.get_layer("head").get_weights()[0], "float64")
    gradient = dense.T[classes].reshape(-1, HEIGHT, WIDTH, DEPTH)
    if method == "hires_cam":
        return np.maximum((gradient * maps).sum(-1), 0)
    heats = []
    for map_, each in zip(maps, gradient, strict=True):
        heat = np.zeros((HEIGHT, WIDTH))
        for channel in range(DEPTH):
            g, a = each[..., channel], map_[..., channel]
            weight = g.mean()
            if method == "grad_cam++":
                weight = (g**2 / (2 * g**2 + a.sum() * g**3) * np.maximum(g, 0)).sum()
            heat += weight * a
        heats.append(np.maximum(heat, 0))
    return np.stack(heats)


@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize("activation", ["softmax", None])
def test_cams_equal_numpy(images, method, activation):
    model = two_layers(activation)
    found = heat_maps(model, images, method, layer="conv", target=[2, 0])
    expected = by_numpy(model, images, [2, 0], method)
    assert expected.max() > 0.01
    np.testing.assert_allclose(found.heat, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.classes, [2, 0])
    outputs = run(model, images)
    if activation is None:
        outputs = np.exp(outputs) / np.exp(outputs).sum(-1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, outputs[[0, 1], [2, 0]], rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.thorough
def test_every_method_leaves_the_model_as_it_was(images, method):
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu", padding="same")(inputs)
    x = SelfAttention2D(num_heads=2, key_depth=4, value_depth=6, name="map")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(x))
    before, config = run(model, images), model.to_json()
    found = heat_maps(model, images, method)
    assert found.heat.shape == (2, HEIGHT, WIDTH) and found.heat.dtype == np.float32
    assert np.isfinite(found.heat).all() and np.ptp(found.heat) > 0
    assert found.shown.min() >= 0 and found.shown.max() <= 1
    np.testing.assert_array_equal(found.classes, before.argmax(-1))
    np.testing.assert_array_equal(run(model, images), before)
    assert model.to_json() == config
    assert not [layer for layer in model.layers if "call" in vars(layer)]


@pytest.mark.thorough
def test_integrated_gradients_are_complete(images):
    keras.utils.set_random_seed(0)
    model = CIFARResNet(8, attention="se", input_shape=(32, 32, 3))
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    shares, growth = integrated_gradients(model, images, np.array([3, 7]), nodes=64)
    with scores_before_probabilities(model):
        ends = [run(model, x)[[0, 1], [3, 7]] for x in (images, np.zeros_like(images))]
    np.testing.assert_allclose(growth, ends[0] - ends[1], rtol=1e-4)
    assert (abs(growth) > 0.01).all()
    np.testing.assert_allclose(shares.sum(axis=(1, 2, 3)), growth, rtol=0.01)


def test_integrated_gradients_of_a_line_are_exact(images):
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    dense = keras.layers.Dense(CLASSES)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, dense)
    shares, _ = integrated_gradients(model, images, np.array([1, 2]), baseline=1.0, nodes=2)
    kernel = model.layers[-1].get_weights()[0].T[[1, 2]].reshape(2, HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(shares, (images - 1) * kernel, rtol=1e-4, atol=1e-6)


def test_occlusion_finds_the_only_place_that_counts():
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(keras.layers.Flatten()(inputs)))
    kernel = np.zeros((64, 2), "float32")
    kernel[5 * 8 + 2, 1] = 3
    model.get_layer("head").set_weights([kernel, np.zeros(2, "float32")])
    image = np.zeros((1, 8, 8, 1))
    image[0, 5, 2] = 64
    found = heat_maps(model, image, "occlusion", target=1, patch=1, stride=1)
    expected = np.zeros((8, 8))
    expected[5, 2] = 3 * (64 - 1)  # covered by the image's mean, 1
    np.testing.assert_allclose(found.heat[0], expected, atol=1e-4)


def test_rollout_by_hand(images):
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    x = SelfAttention2D(num_heads=2, key_depth=4, value_depth=6, name="a")(inputs)
    x = SelfAttention2D(num_heads=2, key_depth=4, value_depth=6, name="b")(x)
    model = keras.Model(inputs, x)
    first = model.get_layer("a")(images, return_attention=True)
    second = model.get_layer("b")(first[0], return_attention=True)
    maps = [keras.ops.convert_to_numpy(x[1]).mean(1) for x in (first, second)]
    mixed = [0.5 * each + 0.5 * np.eye(35) for each in maps]
    expected = (mixed[1] @ mixed[0]).mean(1).reshape(2, HEIGHT, WIDTH)
    np.testing.assert_allclose(rollout(model, images), expected, rtol=1e-4)


def test_heads_and_their_mean(images):
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    layer = SelfAttention2D(num_heads=2, key_depth=4, value_depth=6, name="map")
    model = keras.Model(inputs, layer(inputs))
    maps = keras.ops.convert_to_numpy(layer(images, return_attention=True)[1])
    heats = [heat_maps(model, images, head=head).heat for head in (0, 1)]
    for head, heat in enumerate(heats):
        expected = maps[:, head].mean(1).reshape(2, HEIGHT, WIDTH)
        np.testing.assert_allclose(heat, expected, rtol=1e-5)
    assert np.abs(heats[0] - heats[1]).max() > 1e-3
    np.testing.assert_allclose(heat_maps(model, images).heat, np.mean(heats, 0), rtol=1e-5)
    paid = heat_maps(model, images, head=1, query=(6, 2)).heat
    np.testing.assert_allclose(paid, maps[:, 1, 6 * WIDTH + 2].reshape(paid.shape), rtol=1e-5)
    with pytest.raises(ValueError, match="`head` must be from 0 to 1. Received: head=2"):
        heat_maps(model, images, head=2)


@pytest.mark.parametrize("query", [None, (6, 2)])
def test_channels_first_is_the_transpose_of_channels_last(images, query):
    """Between two permutations of the axes the same weights show the same heat."""
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    options = {"num_heads": 1, "key_depth": 4, "value_depth": 6}
    last = keras.Model(inputs, SelfAttention2D(**options)(inputs))
    x = keras.layers.Permute((3, 1, 2))(inputs)
    x = SelfAttention2D(**options, data_format="channels_first")(x)
    first = keras.Model(inputs, keras.layers.Permute((2, 3, 1))(x))
    first.set_weights(last.get_weights())
    expected = heat_maps(last, images, query=query).heat
    assert expected.shape == (2, HEIGHT, WIDTH)
    np.testing.assert_allclose(heat_maps(first, images, query=query).heat, expected, rtol=1e-5)


def test_nested_reloaded_and_inserted_models_are_alike(images, tmp_path):
    inner = two_layers()
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    outer = keras.Model(inputs, inner(inputs), name="outer")
    expected = heat_maps(inner, images, "grad_cam", target=1).heat
    np.testing.assert_array_equal(
        heat_maps(outer, images, "grad_cam", layer="two/conv", target=1).heat, expected
    )
    outer.save(tmp_path / "outer.keras")
    loaded = keras.saving.load_model(tmp_path / "outer.keras")
    np.testing.assert_allclose(
        heat_maps(loaded, images, target=1).heat, expected, rtol=1e-5, atol=1e-6
    )
    attending = insert_attention(inner, SqueezeExcite(ratio=1), where="conv")
    heat = heat_maps(attending, images, "grad_cam", layer="conv", target=1).heat
    np.testing.assert_allclose(heat, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "lime"}, "`method` must be .*occlusion.*Received: method='lime'"),
        ({"layer": "nowhere"}, "`layer` must be .*'conv'. Received: layer='nowhere'"),
        ({"layer": "head"}, r"`layer` must be one whose output is a map.*'head'"),
        ({"target": 3}, "`target` must be a class from 0 to 2. Received: target=3"),
        ({"target": "cat"}, "`target` must be the number of a class"),
        ({"target": "cta", "class_names": ["cat", "dog", "owl"]}, "`target` must be .*cat"),
        ({"target": [1]}, "`target` must be a class, or one for each of 2 images"),
        ({"class_names": ["cat"]}, "`class_names` must name the model's 3 classes"),
        ({"head": 0}, "`head` must be None unless `method` is one of attention"),
        ({"method": "attention"}, "`model` must have .*attention"),
        ({"method": "rollout"}, "`model` must have layers whose attention is a map"),
        ({"images": np.zeros((2, 9, 5, 3))}, "`images` must be a batch of what the model takes"),
    ],
)
def test_wrong_arguments(model, images, arguments, message):
    with pytest.raises(ValueError, match=message):
        heat_maps(model, **{"images": images, **arguments})


def test_models_that_do_not_fit(images):
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    with pytest.raises(ValueError, match=r"`model` must give one score for each class, \(B, K\)"):
        heat_maps(keras.Model(inputs, keras.layers.ReLU()(inputs)), images)
    other = keras.Input((3,), name="other")
    model = keras.Model([inputs, other], keras.layers.GlobalAveragePooling2D()(inputs) + other)
    with pytest.raises(ValueError, match="`model` must have one input, the image"):
        heat_maps(model, images)


def test_all_stages_are_the_last_maps_of_each_size():
    model = CIFARResNet(8, input_shape=(32, 32, 3))
    assert map_stages(model) == ["P0", "P1", "P2"]
