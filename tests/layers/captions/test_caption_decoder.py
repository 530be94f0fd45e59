"""The decoder against NumPy, its search against all captions there are; on every backend."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import CaptionDecoder, CaptionSearch

DTYPE, EXACT = ("float64", 1e-12) if keras.backend.backend() == "tensorflow" else ("float32", 2e-5)
VOCABULARY = 4


def small(**options):
    """Every weight random."""
    options = {"dropout": 0.0, "seed": 3, "dtype": DTYPE, **options}
    layer = CaptionDecoder(VOCABULARY, 3, 5, 4, **options)
    layer.build((None, 2, 3, 6))
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(0, 1, weight.shape))
    return layer


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(0).normal(size=(2, 2, 3, 6))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_against_numpy(features):
    layer, tokens = small(), np.array([[2, 3, 0], [1, 2, 2]])
    w = {x.path.split("/", 1)[1]: ops.convert_to_numpy(x) for x in layer.trainable_weights}

    def dense(x, name):
        return x @ w[f"{name}/kernel"] + w.get(f"{name}/bias", 0)

    places = features.reshape(2, 6, 6)
    h = np.tanh(dense(places.mean(1), "first_state"))
    c = np.tanh(dense(places.mean(1), "first_memory"))
    logits, maps = [], []
    for step in range(3):
        word = w["embedding/embeddings"][tokens[:, step - 1]] if step else np.zeros((2, 3))
        hidden = np.tanh(
            dense(places, "attention/of_features") + dense(h, "attention/of_state")[:, None]
        )
        energy = dense(hidden, "attention/energy")[..., 0]
        alpha = np.exp(energy) / np.exp(energy).sum(1, keepdims=True)
        z = np.einsum("bl,bld->bd", alpha, places) * sigmoid(dense(h, "attention/beta"))
        sums = np.concatenate([word, z], 1) @ w["core/kernel"] + h @ w["core/recurrent_kernel"]
        i, f, g, o = np.split(sums + w["core/bias"], 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        logits.append(dense(np.tanh(word + dense(h, "of_state") + dense(z, "of_context")), "head"))
        maps.append(alpha.reshape(2, 2, 3))
    found = {k: ops.convert_to_numpy(v) for k, v in layer(features, tokens).items()}
    np.testing.assert_allclose(found["logits"], np.stack(logits, 1), atol=10 * EXACT)
    np.testing.assert_allclose(found["attention"], np.stack(maps, 1), atol=EXACT)


def test_a_word_depends_on_those_before_it_alone(features):
    layer, tokens = small(), np.array([[2, 3, 1], [1, 2, 2]])
    other = tokens.copy()
    other[:, 1:] = 0
    one, two = (ops.convert_to_numpy(layer(features, x)["logits"]) for x in (tokens, other))
    np.testing.assert_array_equal(one[:, :2], two[:, :2])
    assert np.abs(one[:, 2] - two[:, 2]).min() > 0


def test_a_state_that_says_nothing_looks_always_alike(features):
    layer = small()
    kernel = layer.attention.of_state.kernel
    kernel.assign(np.zeros(kernel.shape))
    maps = ops.convert_to_numpy(layer(features, np.array([[2, 3, 1], [1, 2, 2]]))["attention"])
    np.testing.assert_array_equal(maps[:, 0], maps[:, 1])
    np.testing.assert_array_equal(maps[:, 0], maps[:, 2])


def log_p_of(layer, features, tokens):
    """log p of each token by teacher forcing, (B, T)."""
    logits = ops.convert_to_numpy(layer(features, tokens)["logits"]).astype("float64")
    logits -= logits.max(-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.take_along_axis(log_p, tokens[..., None], -1)[..., 0]


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_a_wide_beam_finds_the_likeliest_of_all_captions(features, mode):
    layer, length = small(mode=mode), 3
    captions = np.array(list(itertools.product(range(VOCABULARY), repeat=length)))
    counts = np.cumsum(captions == 0, 1) - (captions == 0) == 0  # up to the end
    captions = captions[(captions * ~counts == 0).all(1)]  # nothing after it
    counts = np.cumsum(captions == 0, 1) - (captions == 0) == 0
    search = CaptionSearch(layer, length, beam_width=64, dtype=DTYPE)
    found = {k: ops.convert_to_numpy(v) for k, v in search(features).items()}
    for image in range(2):
        same = np.repeat(features[image : image + 1], len(captions), axis=0)
        scores = (log_p_of(layer, same, captions) * counts).sum(1)
        np.testing.assert_array_equal(found["tokens"][image], captions[scores.argmax()])
        np.testing.assert_allclose(found["scores"][image], scores.max(), atol=1e-5)


def test_greedy_takes_the_likeliest_word_each_time(features):
    layer = small()
    found = {k: ops.convert_to_numpy(v) for k, v in CaptionSearch(layer, 5)(features).items()}
    tokens = found["tokens"]
    forced = layer(features, tokens)
    counts = np.cumsum(tokens == 0, 1) - (tokens == 0) == 0
    likeliest = ops.convert_to_numpy(forced["logits"]).argmax(-1)
    np.testing.assert_array_equal(tokens, likeliest * counts)
    np.testing.assert_allclose(
        found["scores"], (log_p_of(layer, features, tokens) * counts).sum(1), atol=1e-5
    )
    maps = ops.convert_to_numpy(forced["attention"]) * counts[..., None, None]
    np.testing.assert_allclose(found["attention"], maps, atol=1e-6)


def test_a_wider_beam_is_never_worse(features):
    many = 3 * np.random.default_rng(5).normal(size=(60, 2, 3, 6))
    scores = [
        ops.convert_to_numpy(CaptionSearch(small(), 4, width)(many)["scores"]) for width in (1, 64)
    ]
    assert (scores[1] >= scores[0] - 1e-5).all()
    assert (scores[1] > scores[0] + 1e-3).any()


def test_search_keeps_its_decoder():
    search = CaptionSearch(small(), 4, 2)
    again = CaptionSearch.from_config(search.get_config())
    assert again.decoder.get_config() == search.decoder.get_config()
    assert (again.max_length, again.beam_width) == (4, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary_size": 2}, "`vocabulary_size` must be an integer of at least 3"),
        ({"dropout": 1.0}, "`dropout` must be 0 or more and below 1. Received: dropout=1.0"),
        ({"units": 0}, "`units` must be a positive integer"),
        ({"mode": "harder"}, "`mode` must be one of"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        CaptionDecoder(**{"vocabulary_size": 5, **options})


def test_wrong_inputs(features):
    layer = CaptionDecoder(5, 3, 4, 4)
    with pytest.raises(ValueError, match="`features` must be a map .* known. .*None, 3, 6"):
        layer.compute_output_shape((2, None, 3, 6), (2, 4))
    with pytest.raises(ValueError, match="`tokens` must be .B, T. of a known T"):
        layer.compute_output_shape((2, 2, 3, 6), (2, None))
    with pytest.raises(ValueError, match="`decoder` must be a CaptionDecoder"):
        CaptionSearch(keras.layers.Dense(3))
    with pytest.raises(ValueError, match="`max_length` must be a positive integer"):
        CaptionSearch(layer, 0)
