"""One look, against NumPy and closed forms; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import AdditiveSpatialAttention

# TensorFlow's closed forms in 64 bits; Keras has 32 with the others.
DTYPE, EXACT = ("float64", 1e-12) if keras.backend.backend() == "tensorflow" else ("float32", 2e-5)
UNITS, DEPTH, WIDTH = 5, 4, 3


def small(**options):
    """Every weight random."""
    layer = AdditiveSpatialAttention(UNITS, dtype=DTYPE, seed=3, **options)
    layer.build((None, None, DEPTH), (None, WIDTH))
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(0, 1, weight.shape))
    return layer


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(0).normal(size=(2, 6, DEPTH))


@pytest.fixture(scope="module")
def state():
    return np.random.default_rng(2).normal(size=(2, WIDTH))


def look(layer, features, state, **options):
    found = layer(features, state, return_attention=True, **options)
    return [ops.convert_to_numpy(x) for x in found]


def weights_of(layer):
    return {w.path.split("/", 1)[1]: ops.convert_to_numpy(w) for w in layer.trainable_weights}


@pytest.mark.parametrize(
    ("activation", "gate"), [("tanh", "scalar"), ("relu", "vector"), ("tanh", None)]
)
def test_against_numpy(features, state, activation, gate):
    layer = small(activation=activation, gate=gate, temperature=0.7)
    w = weights_of(layer)
    hidden = features @ w["of_features/kernel"] + w["of_features/bias"]
    hidden = hidden + (state @ w["of_state/kernel"])[:, None]
    hidden = np.tanh(hidden) if activation == "tanh" else np.maximum(hidden, 0)
    energy = (hidden @ w["energy/kernel"] + w["energy/bias"])[..., 0] / 0.7
    alpha = np.exp(energy) / np.exp(energy).sum(1, keepdims=True)
    z = np.einsum("bl,bld->bd", alpha, features)
    if gate is not None:
        z = z / (1 + np.exp(-(state @ w["beta/kernel"] + w["beta/bias"])))
    got = look(layer, features, state)
    np.testing.assert_allclose(got[0], z, atol=EXACT)
    np.testing.assert_allclose(got[1], alpha, atol=EXACT)


def test_it_is_kerass_additive_attention_without_a_gate(features, state):
    layer = small(gate=None)
    w = weights_of(layer)
    keras_layer = keras.layers.AdditiveAttention(use_scale=True, dtype=DTYPE)
    query = (state @ w["of_state/kernel"])[:, None]
    keys = features @ w["of_features/kernel"] + w["of_features/bias"]
    keras_layer.build([query.shape, features.shape, keys.shape])
    keras_layer.scale.assign(w["energy/kernel"][:, 0])
    given = [ops.convert_to_tensor(x, DTYPE) for x in (query, features, keys)]
    z = ops.convert_to_numpy(keras_layer(given))[:, 0]
    np.testing.assert_allclose(look(layer, features, state)[0], z, atol=EXACT)


@pytest.mark.filterwarnings("ignore:.*softmax over axis -1 .* size 1")
@pytest.mark.parametrize("mode", ["soft", "hard", "uniform"])
def test_one_place_is_what_there_is(features, state, mode):
    z, alpha = look(small(gate=None, mode=mode), features[:, :1], state)
    np.testing.assert_array_equal(alpha, 1)
    np.testing.assert_allclose(z, features[:, 0], rtol=1e-6)


def test_places_have_no_order(features, state):
    layer, order = small(), [3, 0, 5, 1, 4, 2]
    z, alpha = look(layer, features, state)
    again, permuted = look(layer, features[:, order], state)
    np.testing.assert_allclose(permuted, alpha[:, order], atol=EXACT)
    np.testing.assert_allclose(again, z, atol=EXACT)


def test_the_colder_the_harder(features, state):
    z, alpha = look(small(gate=None, temperature=1e-5), features, state)
    likeliest = features[np.arange(2), alpha.argmax(1)]
    np.testing.assert_allclose(z, likeliest, atol=EXACT)
    np.testing.assert_allclose(look(small(gate=None, mode="hard"), features, state)[0], likeliest)


def test_uniform_weighs_all_alike(features, state):
    z, alpha = look(small(gate=None, mode="uniform"), features, state)
    np.testing.assert_allclose(alpha, 1 / 6, rtol=1e-6)
    np.testing.assert_allclose(z, features.mean(1), atol=1e-6)


def test_a_hard_look_is_drawn_in_training(features, state):
    layer = small(gate=None, mode="hard", temperature=3.0)
    many = np.repeat(features[:1], 4000, axis=0), np.repeat(state[:1], 4000, axis=0)
    z, alpha = look(layer, *many, sample=True)
    places = np.abs(z[:, None] - features[:1]).max(-1).argmin(1)
    np.testing.assert_allclose(z, features[0, places], rtol=1e-6)
    frequencies = np.bincount(places, minlength=6) / 4000
    assert np.abs(frequencies - alpha[0]).max() < 0.04  # 5 standard deviations


def test_the_logarithm_of_a_places_probability(features, state):
    layer = small(mode="hard")
    given = np.array([4, 1])
    places, state = (ops.convert_to_tensor(x, DTYPE) for x in (features, state))
    _, alpha, density = layer.attend(places, layer.project(places), state, given=given)
    alpha = ops.convert_to_numpy(alpha)
    np.testing.assert_allclose(
        ops.convert_to_numpy(density), np.log(alpha[[0, 1], given]), atol=EXACT
    )


@pytest.mark.parametrize(("rate", "is_soft"), [(1.0, True), (0.0, False)])
def test_a_part_of_the_training_steps_is_soft(features, state, rate, is_soft):
    hard = small(gate=None, mode="hard", expectation_rate=rate)
    z, _ = look(hard, features, state, training=True)
    soft, _ = look(small(gate=None), features, state)
    assert np.allclose(z, soft, atol=1e-5) == is_soft


def test_maps(state):
    features = np.random.default_rng(0).normal(size=(2, 3, 2, DEPTH))
    z, alpha = look(small(), features, state)
    assert alpha.shape == (2, 3, 2)
    flat = look(small(), features.reshape(2, 6, DEPTH), state)
    np.testing.assert_array_equal(alpha.reshape(2, 6), flat[1])
    first = AdditiveSpatialAttention(UNITS, dtype=DTYPE, data_format="channels_first")
    first.build((None, DEPTH, 3, 2), (None, WIDTH))
    first.set_weights(small().get_weights())
    got = look(first, features.transpose(0, 3, 1, 2), state)
    np.testing.assert_allclose(got[0], z, atol=EXACT)
    np.testing.assert_allclose(got[1], alpha, atol=EXACT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "`units` must be a positive integer"),
        ({"mode": "medium"}, "`mode` must be one of"),
        ({"gate": "matrix"}, "`gate` must be one of"),
        ({"temperature": 0}, "`temperature` must be positive. Received: temperature=0"),
        ({"expectation_rate": 1.5}, "`expectation_rate` must be from 0 to 1. .*1.5"),
        ({"seed": -1}, "`seed` must be"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        AdditiveSpatialAttention(**options)


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 2, None)])
def test_features_of_another_shape(shape):
    with pytest.raises(ValueError, match="`features` must be a map .* or a sequence"):
        AdditiveSpatialAttention(4).build(shape, (None, WIDTH))


def test_config():
    layer = AdditiveSpatialAttention(
        6, "relu", "hard", None, expectation_rate=0.2, temperature=2.0, seed=5
    )
    assert AdditiveSpatialAttention.from_config(layer.get_config()).get_config() == (
        layer.get_config()
    )
