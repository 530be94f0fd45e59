"""The chunked formulation: the full one's numbers, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from helpers.layer_contract import assert_close
from helpers.marks import rest_thorough
from helpers.oracles.attention_loops import attend_by_loops
from keras_attn import backend
from keras_attn.layers import AugmentedConv2D, SelfAttention2D
from keras_attn.layers.self_attention.chunked_attention import Chunk, attend, chunk_within


def keys_and_places(keys, places):
    return np.concatenate([keys, np.broadcast_to(places.T, (len(keys), *places.T.shape))], axis=1)


def attend_plainly(q, keys, v, places):
    """float64 NumPy, the whole map at once; returns the output and the map."""
    logits = np.einsum("amd,adn->amn", q, keys_and_places(keys, places))
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights @ v, weights


def problem(heads=5, places=13, depth=3, extra=4, values=2, dtype="float64"):
    rng = np.random.default_rng(0)
    q = rng.normal(size=(heads, places, depth + extra)).astype(dtype)
    keys = rng.normal(size=(heads, depth, places)).astype(dtype)
    v = rng.normal(size=(heads, places, values)).astype(dtype)
    return q, keys, v, rng.integers(0, 2, (places, extra)).astype(dtype)


BATCHED = [(5, 13), (1, 13), (2, 13), (3, 13), (1, 1), (2, 4), (1, 12)]
BY_HEAD = [(1, 13), (5, 13), (1, 4), (5, 12)]
CHUNKS = [None, *(Chunk(*sizes) for sizes in BATCHED), *(Chunk(*s, by_head=True) for s in BY_HEAD)]
each_chunk = pytest.mark.parametrize("chunk", CHUNKS, ids=lambda c: c and "-".join(map(str, c)))


@each_chunk
def test_outputs(chunk):
    arguments = problem()
    assert_close(attend(*arguments, chunk).numpy(), attend_plainly(*arguments)[0], 1e-12)


@each_chunk
def test_gradients(chunk):
    """Against the formulas written out in NumPy on the whole map."""
    q, keys, v, places = problem()
    d_out = np.random.default_rng(1).normal(size=v.shape)
    inputs = [tf.Variable(x) for x in (q, keys, v)]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(attend(*inputs, places, chunk) * d_out)
    dq, d_keys, dv = (g.numpy() for g in tape.gradient(loss, inputs))

    _, weights = attend_plainly(q, keys, v, places)
    d_weights = np.einsum("ame,ane->amn", d_out, v)
    d_logits = weights * (d_weights - (d_weights * weights).sum(axis=-1, keepdims=True))
    assert_close(dq, np.einsum("amn,adn->amd", d_logits, keys_and_places(keys, places)), 1e-12)
    assert_close(d_keys, np.einsum("amn,amd->adn", d_logits, q[..., :3]), 1e-12)
    assert_close(dv, np.einsum("amn,ame->ane", weights, d_out), 1e-12)


@pytest.mark.parametrize(
    "chunk", [Chunk(2, 13), Chunk(5, 7, by_head=True)], ids=["batched", "head"]
)
@pytest.mark.parametrize("jit_compile", rest_thorough([False, True]))
@pytest.mark.thorough
def test_inside_a_graph(jit_compile, chunk):
    q, keys, v, places = problem(dtype="float32")

    @tf.function(jit_compile=jit_compile)
    def step(q, keys, v):
        with tf.GradientTape() as tape:
            tape.watch((q, keys, v))
            y = attend(q, keys, v, places, chunk)
            loss = tf.reduce_sum(y**2)
        return y, tape.gradient(loss, (q, keys, v))

    y, gradients = step(*map(tf.constant, (q, keys, v)))
    with tf.GradientTape() as tape:
        inputs = [tf.Variable(x) for x in (q, keys, v)]
        loss = tf.reduce_sum(attend(*inputs, places) ** 2)
    assert_close(y.numpy(), attend_plainly(q, keys, v, places)[0], 1e-5)
    for got, expected in zip(gradients, tape.gradient(loss, inputs), strict=True):
        assert_close(got.numpy(), expected.numpy(), 1e-5)


def test_chunks_within_a_number_of_logits(monkeypatch):
    """On a CPU up to eight heads of an image side by side; whole rounds of equal length."""
    assert chunk_within(8 * 10 * 10, 10, 8) == (8, 10, True)
    assert chunk_within(8 * 10 * 10 - 1, 10, 8) == (4, 10, True)  # whole ones before more
    assert chunk_within(99, 10, 8) == (8, 1, True)
    assert chunk_within(99, 10, 1) == (1, 5, True)  # two rounds of 5, not 9 and 1
    assert chunk_within(79, 10, 8) == (4, 1, True)
    assert chunk_within(10, 10, 8) == (1, 1, True)
    assert chunk_within(10_000, 10, 12) == (6, 10, True)
    assert chunk_within(10_000, 10, 11) == (1, 10, True)
    heads, queries, by_head = chunk_within(199, tf.constant(10), 8)
    assert (heads, int(queries), by_head) == (8, 2, True)

    monkeypatch.setattr(backend, "on_tensorflow_cpu", lambda: False)
    assert chunk_within(1000, 10, 8) == (10, 10, False)
    assert chunk_within(199, 10, 8) == (1, 10, False)
    assert chunk_within(99, 10, 8) == (1, 5, False)
    heads, queries, by_head = chunk_within(199, tf.constant(10), 8)
    assert (int(heads), int(queries), by_head) == (1, 10, False)


@pytest.mark.parametrize("on_cpu", [True, False], ids=["cpu", "gpu"])
def test_both_ways_are_the_same_layer(monkeypatch, on_cpu):
    monkeypatch.setattr(backend, "on_tensorflow_cpu", lambda: on_cpu)
    full, chunked = layers_of((5, 3), max_logits_bytes=8 * 15 * 4)
    x = np.random.default_rng(5).normal(size=(2, 5, 3, 7))
    assert_close(tf.function(chunked)(x).numpy(), full(x).numpy(), 1e-12)


def layers_of(size, dtype="float64", **kwargs):
    arguments = {"num_heads": 2, "key_depth": 6, "value_depth": 10, "dtype": dtype}
    full = SelfAttention2D(implementation="full", **arguments)
    chunked = SelfAttention2D(implementation="chunked", **arguments, **kwargs)
    rng = np.random.default_rng(3)
    for layer in (full, chunked):
        layer.build((None, *size, 7))
    full.set_weights([rng.normal(size=w.shape) for w in full.weights])
    chunked.set_weights(full.get_weights())
    return full, chunked


@pytest.mark.parametrize("size", [(5, 3), (2, 7), (1, 4), (1, 1)])
@pytest.mark.parametrize("queries", [1, 2, 7, 100])
def test_layer_equals_the_loops(size, queries):
    """Map sizes that the chunk does not divide, one query at a time, and all heads at once."""
    places = size[0] * size[1]
    _, layer = layers_of(size, max_logits_bytes=8 * places * queries)
    x = np.random.default_rng(4).normal(size=(3, *size, 7))
    expected, _ = attend_by_loops(x, layer.get_weights(), 2, 6, 10)
    assert_close(layer(x).numpy(), expected, 1e-12)


def test_layer_gradients_equal_the_full_ones():
    full, chunked = layers_of((5, 3), max_logits_bytes=8 * 15 * 4)
    x = np.random.default_rng(5).normal(size=(2, 5, 3, 7))
    gradients = []
    for layer in (full, chunked):
        image = tf.Variable(x)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(image) ** 2)
        gradients.append(tape.gradient(loss, [image, *[w.value for w in layer.weights]]))
    for got, expected in zip(*gradients, strict=True):
        assert_close(got.numpy(), expected.numpy(), 1e-12)


def outputs_and_gradients(layer, x):
    image = tf.Variable(x.astype(layer.compute_dtype))
    with tf.GradientTape() as tape:
        y = layer(image)
        loss = tf.reduce_sum(tf.cast(y, layer.variable_dtype) ** 2)
    gradients = tape.gradient(loss, [image, *[w.value for w in layer.weights]])
    return [tf.cast(value, "float64").numpy() for value in (y, *gradients)]


@pytest.mark.parametrize("size", [(11, 5), pytest.param((3, 17), marks=pytest.mark.thorough)])
def test_float32_against_float64(size):
    """Outputs to 1e-6 and every gradient to 1e-5 of the greatest value."""
    exact, _ = layers_of(size)
    exact.set_weights([0.5 * value for value in exact.get_weights()])
    x = np.random.default_rng(7).normal(size=(2, *size, 7))
    expected, *exact_gradients = outputs_and_gradients(exact, x)
    for queries in (1, 7, 20, 55):
        _, layer = layers_of(size, "float32", max_logits_bytes=4 * 2 * 55 * queries)
        layer.set_weights([0.5 * value for value in layer.get_weights()])
        y, *gradients = outputs_and_gradients(layer, x)
        assert abs(y - expected).max() <= 1e-6 * abs(expected).max()
        for got, wanted in zip(gradients, exact_gradients, strict=True):
            assert abs(got - wanted).max() <= 1e-5 * abs(wanted).max()


@pytest.mark.parametrize("implementation", ["full", "chunked"])
@pytest.mark.parametrize("policy, step", [("mixed_float16", 2.0**-11), ("mixed_bfloat16", 2.0**-8)])
def test_16_bits_against_float64(implementation, policy, step):
    """Within a few roundings of the 16-bit keys, queries and values: four half steps."""
    exact, _ = layers_of((5, 3))
    exact.set_weights([0.3 * value for value in exact.get_weights()])
    layer = SelfAttention2D(
        num_heads=2, key_depth=6, value_depth=10, dtype=policy, implementation=implementation
    )
    layer.build((None, 5, 3, 7))
    layer.set_weights(exact.get_weights())
    x = np.random.default_rng(8).normal(size=(2, 5, 3, 7))
    results, exact_results = (outputs_and_gradients(w, x) for w in (layer, exact))
    for got, wanted in zip(results, exact_results, strict=True):
        assert abs(got - wanted).max() <= 4 * step * abs(wanted).max()


def test_one_graph_for_every_size():
    """Batch, height and width unknown: the number of chunks is found at run time."""
    layer = SelfAttention2D(
        num_heads=2, key_depth=6, value_depth=4, table_size=(6, 6), max_logits_bytes=4 * 40 * 9
    )
    layer.build((None, None, None, 3))
    graph = tf.function(
        layer, input_signature=[tf.TensorSpec((None, None, None, 3))], autograph=False
    )
    full = SelfAttention2D(
        num_heads=2, key_depth=6, value_depth=4, table_size=(6, 6), implementation="full"
    )
    full.build((None, None, None, 3))
    full.set_weights(layer.get_weights())
    for shape in [(1, 4, 5, 3), (3, 5, 8, 3), (2, 1, 7, 3), (1, 1, 1, 3)]:
        x = np.random.default_rng(6).normal(size=shape).astype("float32")
        assert_close(graph(x).numpy(), full(x).numpy())


@pytest.mark.parametrize("implementation", ["full", "chunked"])
def test_logits_of_ten_thousand(implementation):
    """float16 inputs whose logits overflow float16: the right key wins, nothing is NaN."""
    layer = SelfAttention2D(
        num_heads=1,
        key_depth=1,
        value_depth=1,
        relative=False,
        use_bias=False,
        implementation=implementation,
        dtype="mixed_float16",
    )
    layer.build((None, 1, 3, 1))
    layer.set_weights([np.ones((1, 3)), np.ones((1, 1))])
    x = np.array([100.0, 200.0, 300.0], "float16").reshape(1, 1, 3, 1)  # logits up to 90,000
    np.testing.assert_array_equal(layer(x).numpy().ravel(), [300, 300, 300])


def test_auto_is_full_up_to_one_mebibyte_a_head():
    layer = SelfAttention2D(num_heads=2, key_depth=2, value_depth=2)
    assert layer._chunk(512) is None
    assert layer._chunk(513) == (2, 513, True)
    assert layer._chunk(5000) == (2, 500, True)  # of the 524 that fit, in 10 rounds


def test_the_map_is_refused_above_its_bound():
    arguments = {"num_heads": 2, "key_depth": 2, "value_depth": 2, "relative": False}
    x = np.ones((1, 5, 5, 3), "float32")
    layer = SelfAttention2D(**arguments, max_logits_bytes=4 * 2 * 25 * 25 - 1)
    assert layer(x).shape == (1, 5, 5, 2)
    with pytest.raises(ValueError, match="`return_attention` makes the whole map, here 5000 bytes"):
        layer(x, return_attention=True)
    allowed = SelfAttention2D(**arguments, max_logits_bytes=5000)
    assert allowed(x, return_attention=True)[1].shape == (1, 2, 25, 25)


@pytest.mark.parametrize("make", [SelfAttention2D, lambda **k: AugmentedConv2D(8, 3, **k)])
@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"implementation": "flash"}, "`implementation` must be one of 'auto', 'full', 'chunked'"),
        ({"max_logits_bytes": 0}, "`max_logits_bytes` must be a positive integer"),
    ],
)
def test_wrong_arguments(make, kwargs, message):
    with pytest.raises(ValueError) as error:
        make(num_heads=2, key_depth=6, value_depth=4, **kwargs)
    assert message in str(error.value)


def test_a_bound_below_one_query():
    layer = SelfAttention2D(
        num_heads=1, key_depth=2, value_depth=2, implementation="chunked", max_logits_bytes=99
    )
    with pytest.raises(ValueError, match="`max_logits_bytes` must hold one query's logits"):
        layer(np.ones((1, 5, 5, 3), "float32"))
