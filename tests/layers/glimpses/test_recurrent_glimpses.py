"""The policy's estimator against closed forms, and the network against NumPy; on every backend."""

from __future__ import annotations

import math
from functools import partial

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.backend import value_and_gradient
from keras_attn.layers import RecurrentGlimpses, attention_form

SIDE, STD = 12, 0.25
# TensorFlow's closed forms in 64 bits; Keras has 32 with the others.
DTYPE, EXACT = ("float64", 1e-12) if keras.backend.backend() == "tensorflow" else ("float32", 2e-5)


def small(dtype=DTYPE, **options):
    """Every weight random, so that no zero hides a mistake."""
    options = {"num_glimpses": 2, "glimpse_size": 4, "units": 7, "hidden_units": 5, **options}
    layer = RecurrentGlimpses(3, location_std=STD, dtype=dtype, seed=3, **options)
    layer.build((None, SIDE, SIDE, 1))
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(0, 0.4, weight.shape))
    return layer


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).normal(size=(1, SIDE, SIDE, 1))


def gradient_of(layer, part, value):
    """The gradient of `value`, a function of the layer's outputs, for a weight."""
    weights = layer.trainable_variables
    index = [w.path for w in weights].index(f"{layer.name}/{part}")

    def run(weight):
        given = [w.value for w in weights]
        given[index] = weight
        return value(partial(call, given)), None

    def call(given, *args, **kwargs):
        return layer.stateless_call(given, others(layer), *args, **kwargs)[0]

    gradient = value_and_gradient(run, ops.convert_to_tensor(weights[index].value))[1]
    return ops.convert_to_numpy(gradient)


def others(layer):
    return [w.value for w in layer.non_trainable_variables]


def policy_gradient(layer, image, nodes, weights, reward):
    """The weighted mean of REINFORCE's estimate for the mean's bias; row places are `nodes`."""
    mean = mean_of(layer, image)
    places = np.zeros((len(nodes), 2, 2))
    places[:, 1] = mean
    places[:, 1, 0] = nodes
    images = np.repeat(image, len(nodes), axis=0)

    def value(call):
        densities = call(images, locations=places)["log_densities"][:, 0]
        return ops.sum(densities * ops.convert_to_tensor(weights * reward, densities.dtype))

    return gradient_of(layer, "mean/bias", value)[0] / (1 - mean[0] ** 2), mean[0]


def mean_of(layer, image):
    return ops.convert_to_numpy(layer(image)["locations"])[0, 1]


@pytest.mark.parametrize("baseline", [0.0, 5.0])
def test_the_estimators_mean_by_quadrature(image, baseline):
    """Of the reward -(l - c)^2 the policy's gradient is -2 (mu - c), with any constant baseline."""
    layer = small()
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    places = mean_of(layer, image)[0] + STD * nodes
    weights = weights / weights.sum()
    found, mean = policy_gradient(layer, image, places, weights, -((places - 0.8) ** 2) - baseline)
    assert found == pytest.approx(-2 * (mean - 0.8), abs=EXACT)


def test_a_bandits_gradient(image):
    """The reward is 1 within r of c: the integral of the estimate over that is the closed form."""
    layer, c, r = small(), 0.5, 0.2
    nodes, weights = np.polynomial.legendre.leggauss(48)
    places, mean = c + r * nodes, mean_of(layer, image)[0]
    density = np.exp(-(((places - mean) / STD) ** 2) / 2) / (STD * math.sqrt(2 * math.pi))
    found, _ = policy_gradient(layer, image, places, r * weights * density, 1.0)
    low, high = (math.exp(-(((c + s * r - mean) / STD) ** 2) / 2) for s in (-1, 1))
    assert found == pytest.approx((low - high) / (STD * math.sqrt(2 * math.pi)), abs=EXACT)


def test_densities_are_the_normal_distributions(image):
    layer = small(num_glimpses=3)
    places = np.array([[[0, 0], [0.3, -0.9], [0.5, 0.1]]])
    found = layer(image, locations=places)
    np.testing.assert_allclose(ops.convert_to_numpy(found["locations"]), places, atol=EXACT)
    mean = mean_of(layer, image)
    off = ((places[0, 1] - mean) / STD) ** 2
    expected = (-off / 2 - math.log(STD * math.sqrt(2 * math.pi))).sum()
    got = ops.convert_to_numpy(found["log_densities"])
    assert got.shape == (1, 2)
    assert got[0, 0] == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("part", ["mean/kernel", "mean/bias", "baseline/kernel", "baseline/bias"])
def test_the_class_teaches_neither_policy_nor_baseline(image, part):
    gradient = gradient_of(
        small(), part, lambda call: ops.sum(call(image, training=True)["probabilities"][:, 0])
    )
    assert not gradient.any()


@pytest.mark.parametrize("part", ["what/kernel", "of_where/bias", "of_state/kernel"])
@pytest.mark.parametrize("output", ["log_densities", "baselines"])
def test_reinforcement_teaches_nothing_else(image, part, output):
    gradient = gradient_of(
        small(num_glimpses=3), part, lambda call: ops.sum(call(image, training=True)[output])
    )
    assert not gradient.any()


@pytest.mark.parametrize(
    ("part", "output"), [("mean/kernel", "log_densities"), ("baseline/kernel", "baselines")]
)
def test_what_reinforcement_teaches(image, part, output):
    given = np.full((1, 2, 2), 0.3)
    gradient = gradient_of(
        small(), part, lambda call: ops.sum(call(image, locations=given)[output])
    )
    assert np.abs(gradient).max() > 1e-3


def dense(layer, part, x, activation=lambda x: x):
    kernel, bias = (ops.convert_to_numpy(w) for w in getattr(layer, part).weights)
    return activation(x @ kernel + bias)


def relu(x):
    return np.maximum(x, 0)


def test_the_network_in_numpy(image):
    layer = small(num_glimpses=3)
    place, state, places = np.zeros((1, 2)), np.zeros((1, 7)), []
    baselines = []
    for _ in range(3):
        places.append(place)
        centre = (place[0] + 1) * SIDE / 2
        rows, columns = (
            np.maximum(0, 1 - np.abs((c - 2 + np.arange(4))[:, None] - np.arange(SIDE)))
            for c in centre
        )
        glimpse = np.einsum("ih,hw,jw->ij", rows, image[0, :, :, 0], columns).reshape(1, 16)
        what, where = dense(layer, "what", glimpse, relu), dense(layer, "where", place, relu)
        seen = relu(dense(layer, "of_what", what) + dense(layer, "of_where", where))
        state = relu(dense(layer, "of_state", state) + dense(layer, "of_glimpse", seen))
        baselines.append(dense(layer, "baseline", state)[0, 0])
        place = dense(layer, "mean", state, np.tanh)
    scores = np.exp(dense(layer, "head", state))
    found, boxes = layer(image, return_attention=True)
    found = {name: ops.convert_to_numpy(value) for name, value in found.items()}
    np.testing.assert_allclose(found["probabilities"], scores / scores.sum(), rtol=EXACT)
    np.testing.assert_allclose(found["locations"][0], np.concatenate(places), atol=EXACT)
    np.testing.assert_allclose(found["baselines"][0], baselines, rtol=EXACT)
    boxes = ops.convert_to_numpy(boxes)
    assert boxes.shape == (1, 3, 1, 4) == tuple(layer.compute_attention_shape(image.shape))
    np.testing.assert_allclose(boxes[0, :, 0, :2], found["locations"][0], atol=EXACT)
    np.testing.assert_allclose(boxes[0, :, 0, 2:], 4 / SIDE, atol=EXACT)
    assert attention_form(layer) == "boxes"


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 209_677),  # that of the paper's network on 28x28, with the baseline
        ({"num_scales": 3}, 209_677 + 2 * 64 * 128),
        ({"cell": "lstm"}, 209_677 - 2 * 65_792 + 4 * (2 * 256 * 256 + 256)),
        ({"location_units": 32}, 209_677 - 514 + 256 * 32 + 32 + 32 * 2 + 2),
    ],
    ids=["paper", "scales", "lstm", "location_units"],
)
def test_parameters(options, count):
    layer = RecurrentGlimpses(10, **options)
    layer.build((None, 28, 28, 1))
    assert sum(math.prod(w.shape) for w in layer.trainable_weights) == count


DEEP = {"targets": 2, "filters": (3, 2), "merge": "multiply", "context": 5, "cell": "lstm"}


def test_one_target_without_context_is_the_plain_network(image):
    """The end is one class more; all else is the same to the last bit."""
    plain, one = small(), small(targets=1)
    for weight, source in zip(one.weights, plain.weights, strict=True):
        if "head" not in weight.path:
            weight.assign(source)
    kernel, bias = (ops.convert_to_numpy(w) for w in plain.head.weights)
    one.head.set_weights([np.pad(kernel, ((0, 0), (0, 1))), np.pad(bias, (0, 1)) - [0, 0, 0, 1e3]])
    found, expected = one(image), plain(image)
    assert found["probabilities"].shape == (1, 1, 4)
    for name in ("locations", "log_densities", "baselines"):
        np.testing.assert_array_equal(*(ops.convert_to_numpy(x[name]) for x in (found, expected)))
    np.testing.assert_allclose(
        ops.convert_to_numpy(found["probabilities"])[0, 0, :3],
        ops.convert_to_numpy(expected["probabilities"])[0],
        rtol=EXACT,
    )


@pytest.mark.parametrize("part", ["first_state/kernel", "of_overview_0/kernel", "looking/kernel"])
def test_the_context_tells_nothing_of_the_class(image, part):
    """With given places; through the places that it chooses it does."""
    layer, given = small(**DEEP), np.full((1, 4, 2), 0.3)
    told = gradient_of(
        layer, part, lambda call: ops.sum(call(image, locations=given)["probabilities"][..., 0])
    )
    assert not told.any()
    chosen = gradient_of(
        layer, part, lambda call: ops.sum(call(image, locations=given)["log_densities"])
    )
    assert np.abs(chosen).max() > 1e-4


@pytest.mark.parametrize("part", ["what/kernel", "of_pixels_1/kernel", "core/kernel"])
@pytest.mark.parametrize("output", ["log_densities", "baselines"])
def test_looking_teaches_the_reader_nothing(image, part, output):
    given = np.full((1, 4, 2), 0.3)
    gradient = gradient_of(
        small(**DEEP), part, lambda call: ops.sum(call(image, locations=given)[output])
    )
    assert not gradient.any()


def lstm(layer, part, x, state):
    """Keras's order of gates: input, forget, cell, output."""
    h, c = state
    kernel, recurrent, bias = (ops.convert_to_numpy(w) for w in getattr(layer, part).weights)
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
    i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
    c = f * c + i * np.tanh(g)
    return o * np.tanh(c), c


def test_the_deep_network_in_numpy(image):
    layer = small(**{**DEEP, "filters": ()})
    step = SIDE / 5  # of the low-resolution image: hat functions as wide as its pixels
    place = (np.arange(5) + 0.5) * step - 0.5
    rows = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(SIDE)) / step) / step
    low = np.einsum("ih,hw,jw->ij", rows, image[0, :, :, 0], rows).reshape(1, 25)
    looking = dense(layer, "first_state", low, np.tanh), dense(layer, "first_memory", low)
    state = (np.zeros((1, 7)),) * 2
    places, baselines, classes = [], [], []
    for number in range(4):
        place = dense(layer, "mean", looking[0], np.tanh)
        places.append(place)
        baselines.append(dense(layer, "baseline", looking[0])[0, 0])
        rows, columns = (
            np.maximum(0, 1 - np.abs((c - 1.5 + np.arange(4) - 0.5)[:, None] - np.arange(SIDE)))
            for c in (place[0] + 1) * SIDE / 2
        )
        glimpse = np.einsum("ih,hw,jw->ij", rows, image[0, :, :, 0], columns).reshape(1, 16)
        what = dense(layer, "of_what", dense(layer, "what", glimpse, relu), relu)
        where = dense(layer, "of_where", dense(layer, "where", place, relu), relu)
        state = lstm(layer, "core", what * where, state)
        looking = lstm(layer, "looking", state[0], looking)
        if number % 2 == 1:
            scores = np.exp(dense(layer, "head", state[0]))
            classes.append(scores / scores.sum())
    found = {name: ops.convert_to_numpy(value) for name, value in layer(image).items()}
    np.testing.assert_allclose(found["probabilities"][0], np.concatenate(classes), rtol=EXACT * 10)
    np.testing.assert_allclose(found["locations"][0], np.concatenate(places), atol=EXACT)
    np.testing.assert_allclose(found["baselines"][0], baselines, rtol=EXACT * 10)
    assert found["log_densities"].shape == (1, 4)


def test_the_context_chooses_the_first_place(image):
    layer = small("float32", **DEEP)
    first = ops.convert_to_numpy(layer(np.concatenate([image, 3 - image]))["locations"])[:, 0]
    assert np.abs(first[0] - first[1]).max() > 1e-3
    drawn = layer(np.repeat(image, 300, axis=0), training=True)["locations"]
    spread = ops.convert_to_numpy(drawn)[:, 0].std(axis=0)
    assert np.abs(spread - STD).max() < 0.05


def test_places_are_drawn_in_training_and_means_otherwise(image):
    layer = small("float32", num_glimpses=4)
    images = np.repeat(image, 500, axis=0)
    here, again = (ops.convert_to_numpy(layer(images)["locations"]) for _ in range(2))
    np.testing.assert_array_equal(here, again)
    assert np.ptp(here, axis=0).max() < 1e-6
    for how in ({"training": True}, {"sample": True}):
        drawn = ops.convert_to_numpy(layer(images, **how)["locations"])
        assert not drawn[:, 0].any()  # the centre
        off = drawn[:, 1] - here[:, 1]
        assert np.abs(off.std(axis=0) - STD).max() < 0.03
        assert np.abs(off.mean(axis=0)).max() < 0.05
        assert np.abs(drawn).max() <= 1
    means = layer(images, sample=False, training=True)["locations"]
    np.testing.assert_allclose(ops.convert_to_numpy(means), here, atol=1e-6)


@pytest.mark.parametrize("policy", ["random", "centre"])
def test_policies_to_compare_with(image, policy):
    layer = small("float32", policy=policy, num_glimpses=3)
    found = layer(np.repeat(image, 400, axis=0))
    places = ops.convert_to_numpy(found["locations"])
    assert not ops.convert_to_numpy(found["log_densities"]).any()
    if policy == "centre":
        assert not places.any()
    else:
        assert np.abs(places.mean(axis=0)).max() < 0.15
        assert np.abs(places.std(axis=0) - 3**-0.5).max() < 0.06


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 0}, "`classes` must be a positive integer. Received: classes=0"),
        ({"num_glimpses": 0}, "`num_glimpses` must be a positive integer"),
        ({"location_std": 0}, "`location_std` must be positive. Received: location_std=0"),
        ({"cell": "gru"}, "`cell` must be one of 'rnn', 'lstm'. Received: cell='gru'"),
        ({"policy": "best"}, "`policy` must be one of 'learned', 'random', 'centre'"),
        ({"location_units": 0}, "`location_units` must be a positive integer"),
        ({"seed": -1}, "`seed` must be an integer of at least 0. Received: seed=-1"),
        (
            {"glimpse_size": 25},
            r"`glimpse_size` must be at most twice the image's size.*\(25, 25\)",
        ),
        ({"scale": 0.5}, "`scale` must be 1 or more"),
        ({"targets": 0}, "`targets` must be a positive integer. Received: targets=0"),
        ({"filters": (8, 0)}, "`filters` must be a positive integer. Received: filters=0"),
        ({"filters": 8}, "`filters` must be a sequence of positive integers. Received: filters=8"),
        ({"merge": "concat"}, "`merge` must be one of 'add', 'multiply'. Received: merge='concat'"),
        ({"context": -1}, "`context` must be a positive integer. Received: context=-1"),
    ],
)
def test_wrong_arguments(image, options, message):
    with pytest.raises(ValueError, match=message):
        RecurrentGlimpses(**{"classes": 3, **options})(image)


def test_wrong_places(image):
    with pytest.raises(ValueError, match=r"`locations` must be \(B, 2, 2\).*shape \(1, 3, 2\)"):
        small()(image, locations=np.zeros((1, 3, 2)))


def test_an_image_of_unknown_size():
    with pytest.raises(ValueError, match="`images` must have a height and a width that are known"):
        RecurrentGlimpses(3)(keras.Input((None, 28, 1)))


@pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16", DTYPE])
@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_every_policy_computes_in_float32_or_wider(image, dtype, cell):
    layer = RecurrentGlimpses(3, glimpse_size=4, cell=cell, dtype=dtype)
    found = layer(image.astype("float32"))
    expected = "float64" if dtype == "float64" else "float32"
    assert {keras.backend.standardize_dtype(x.dtype) for x in found.values()} == {expected}
    symbols = layer(keras.KerasTensor(image.shape))
    assert {name: x.dtype for name, x in symbols.items()} == {name: expected for name in found}
    assert {name: x.shape for name, x in symbols.items()} == {
        name: tuple(x.shape) for name, x in found.items()
    }


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "location_units": 4, "num_scales": 2, "num_glimpses": 1},
        {**DEEP, "num_scales": 2},
    ],
    ids=["plain", "deep"],
)
def test_config_and_file(image, tmp_path, options):
    layer = small("float32", **options)
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    inputs = keras.Input(image.shape[1:])
    model = keras.Model(inputs, layer(inputs, return_attention=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for got, expected in zip(
        keras.tree.flatten(loaded(image)), keras.tree.flatten(model(image)), strict=True
    ):
        np.testing.assert_array_equal(ops.convert_to_numpy(got), ops.convert_to_numpy(expected))
