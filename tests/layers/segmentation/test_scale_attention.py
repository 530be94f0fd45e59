"""Attention to scale: exact cases, NumPy, wrong inputs; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from helpers.oracles.dense import conv, resized
from keras_attn import layers
from keras_attn.backend import value_and_gradient
from keras_attn.layers import ScaleAttention

B, K = 2, 5
SIZES = ((7, 11), (5, 8), (3, 6))
CHANNELS = (4, 3, 2)


def maps(channels, seed):
    rng = np.random.default_rng(seed)
    channels = [channels] * 3 if isinstance(channels, int) else channels
    return [
        rng.normal(size=(B, *size, c)).astype("float32")
        for size, c in zip(SIZES, channels, strict=True)
    ]


@pytest.fixture(scope="module")
def given():
    return maps(CHANNELS, 0), maps(K, 1)


def randomized(layer, features, scores, seed=2):
    layer.build([x.shape for x in features], [x.shape for x in scores])
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.weights])
    return layer


def to_numpy(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("kernel_size", [3, 1])
def test_the_equations_in_numpy(given, kernel_size):
    features, scores = given
    layer = randomized(ScaleAttention(6, kernel_size), *given)
    kernel, bias, last, last_bias = layer.get_weights()
    together = np.concatenate([resized(x, SIZES[0]) for x in features], axis=-1)
    logits = conv(np.maximum(conv(together, kernel, bias), 0), last, last_bias)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    stacked = np.stack([resized(x, SIZES[0]) for x in scores], axis=-2)
    outputs, attention = layer(*given, return_attention=True)
    np.testing.assert_allclose(to_numpy(attention), weights, atol=1e-5)
    np.testing.assert_allclose(to_numpy(attention).sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(to_numpy(outputs), (stacked * weights[..., None]).sum(-2), atol=1e-4)
    np.testing.assert_array_equal(to_numpy(layer(*given)), to_numpy(outputs))


def test_rivals_in_numpy(given):
    each = [resized(x, SIZES[0]) for x in given[1]]
    for mode, expected in (("average", np.mean(each, axis=0)), ("max", np.max(each, axis=0))):
        layer = ScaleAttention(mode=mode)
        np.testing.assert_allclose(to_numpy(layer(*given)), expected, atol=1e-5)
        assert not layer.weights
        assert layers.attention_form(layer) is None


def test_without_logits_it_is_the_average(given):
    layer = randomized(ScaleAttention(6), *given)
    layer.logits.set_weights([np.zeros_like(w) for w in layer.logits.get_weights()])
    average = ScaleAttention(mode="average")
    np.testing.assert_array_equal(to_numpy(layer(*given)), to_numpy(average(*given)))


def test_equal_scales_are_as_one(given):
    layer = randomized(ScaleAttention(6), given[0], given[1])
    same = [given[1][0]] * 3
    np.testing.assert_allclose(to_numpy(layer(given[0], same)), same[0], atol=1e-6)


@pytest.mark.parametrize("scale", range(3))
def test_a_large_bias_chooses_a_scale(given, scale):
    layer = randomized(ScaleAttention(6), *given)
    kernel, _ = layer.logits.get_weights()
    layer.logits.set_weights([0 * kernel, 30.0 * np.eye(3)[scale]])
    expected = resized(given[1][scale], SIZES[0])
    np.testing.assert_allclose(to_numpy(layer(*given)), expected, atol=1e-5)


def test_scales_in_another_order(given):
    """Of one size, as the first gives the output's."""
    features = [resized(x, SIZES[0]).astype("float32") for x in given[0]]
    scores = [resized(x, SIZES[0]).astype("float32") for x in given[1]]
    layer = randomized(ScaleAttention(6), features, scores)
    order = [2, 0, 1]
    other = ScaleAttention(6)
    turned = [[x[i] for i in order] for x in (features, scores)]
    other.build(*([x.shape for x in each] for each in turned))
    kernel, bias, last, last_bias = layer.get_weights()
    parts = np.split(kernel, np.cumsum(CHANNELS)[:-1], axis=2)
    kernel = np.concatenate([parts[i] for i in order], axis=2)
    other.set_weights([kernel, bias, last[..., order], last_bias[order]])
    expected = to_numpy(layer(features, scores))
    np.testing.assert_allclose(to_numpy(other(*turned)), expected, atol=1e-5)


@pytest.mark.parametrize(("scales", "count"), [(2, 9_438_722), (3, 14_157_827)])
def test_the_papers_number_of_weights(scales, count):
    layer = ScaleAttention()
    layer.build([(None, 41, 41, 1024)] * scales, [(None, 41, 41, 21)] * scales)
    assert layer.count_params() == count


def test_every_weight_and_scale_gets_a_gradient(given):
    layer = randomized(ScaleAttention(6), *given)
    weight = ops.convert_to_tensor(
        np.random.default_rng(5).normal(size=(B, *SIZES[0], K)), "float32"
    )
    flat = [ops.convert_to_tensor(x) for x in (*given[0], *given[1])]
    for number in range(6):

        def run(x, number=number):
            tensors = [*flat[:number], x, *flat[number + 1 :]]
            return ops.sum(layer(tensors[:3], tensors[3:]) * weight), None

        gradient = to_numpy(value_and_gradient(run, flat[number])[1])
        assert np.abs(gradient).max() > 1e-3, number
    for number, variable in enumerate(layer.trainable_variables):

        def of_weight(value, number=number):
            values = [w.value for w in layer.trainable_variables]
            values[number] = value
            found = layer.stateless_call(values, [], *given)[0]
            return ops.sum(found * weight), None

        gradient = to_numpy(value_and_gradient(of_weight, variable.value)[1])
        assert np.abs(gradient).max() > 1e-3, variable.path


def test_channels_first_is_the_same(given):
    layer = randomized(ScaleAttention(6), *given)
    outputs, attention = map(to_numpy, layer(*given, return_attention=True))
    first = ScaleAttention(6, data_format="channels_first")
    turned = [[x.transpose(0, 3, 1, 2) for x in each] for each in given]
    if keras.backend.backend() == "tensorflow":  # whose CPU has no such convolution
        assert first.compute_output_shape(*([x.shape for x in each] for each in turned)) == (
            (B, K, *SIZES[0])
        )
        average = ScaleAttention(mode="average", data_format="channels_first")(*turned)
        expected = to_numpy(ScaleAttention(mode="average")(*given))
        np.testing.assert_allclose(to_numpy(average).transpose(0, 2, 3, 1), expected, atol=1e-5)
        return
    first.build(*([x.shape for x in each] for each in turned))
    first.set_weights(layer.get_weights())
    found, places = map(to_numpy, first(*turned, return_attention=True))
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1), outputs, atol=1e-5)
    np.testing.assert_allclose(places.transpose(0, 2, 3, 1), attention, atol=1e-5)
    shown = to_numpy(layers.attention_by_place(first, places, found.shape))
    np.testing.assert_allclose(shown, attention[..., 0], atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_precision(given, policy):
    if policy == "float64" and keras.backend.backend() != "tensorflow":
        pytest.skip("Keras computes in float32 there")
    layer = randomized(ScaleAttention(6), *given)
    other = ScaleAttention(6, dtype=policy)
    other.build(*([x.shape for x in each] for each in given))
    other.set_weights(layer.get_weights())
    outputs, attention = other(*given, return_attention=True)
    wide = "float64" if policy == "float64" else "float32"
    dtypes = [keras.backend.standardize_dtype(x.dtype) for x in (outputs, attention)]
    assert dtypes == [other.compute_dtype, wide]
    expected = to_numpy(layer(*given, return_attention=True)[1])
    np.testing.assert_allclose(to_numpy(attention), expected, atol=0.05)


def model_of_scales(sizes=(None, None)):
    image = keras.Input((*sizes, 3))
    coarse = keras.layers.AveragePooling2D(2)(image)
    conv = keras.layers.Conv2D(4, 3, padding="same")
    features = [conv(image), conv(coarse)]
    head = keras.layers.Conv2D(2, 1)
    y = ScaleAttention(6, dropout=0.5, name="scales")(features, [head(x) for x in features])
    return keras.Model(image, y)


@pytest.mark.thorough
def test_it_trains_and_is_saved_at_any_size(tmp_path):
    model = model_of_scales()
    x = np.random.default_rng(0).normal(size=(4, 8, 6, 3)).astype("float32")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    model.fit(x, (x[..., 0] > 0).astype("int32"), epochs=2, verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("scales").get_config() == model.get_layer("scales").get_config()
    for size in ((8, 6), (9, 5)):
        x = np.random.default_rng(1).normal(size=(1, *size, 3)).astype("float32")
        assert model(x).shape == (1, *size, 2)
        np.testing.assert_allclose(to_numpy(loaded(x)), to_numpy(model(x)), atol=1e-6)


def test_explain_draws_each_scale(tmp_path):
    from PIL import Image

    from keras_attn.explain import attention_maps, explain, heat_maps

    model = model_of_scales((8, 6))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3)).astype("float32")
    attention = attention_maps(model, pixels)["scales"]
    assert attention.shape == (2, 8, 6, 2)
    for head, scale in ((None, 0), (0, 0), (1, 1)):
        heat = heat_maps(model, pixels, head=head).heat
        np.testing.assert_allclose(heat, attention[..., scale], atol=1e-6)
    with pytest.raises(ValueError, match="`head` must be from 0 to 1. Received: head=2"):
        heat_maps(model, pixels, head=2)
    with Image.open(explain(model, pixels[0], tmp_path / "scales.png", head=1)) as picture:
        assert len(picture.getcolors(10**6)) > 20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v, f: ScaleAttention(0), "`units` must be a positive integer. Received: units=0"),
        (lambda v, f: ScaleAttention(4, 2), "`kernel_size` must be odd"),
        (lambda v, f: ScaleAttention(mode="mean"), "`mode` must be one of .* mode='mean'"),
        (lambda v, f: ScaleAttention(dropout=1), "`dropout` must be from 0 to below 1"),
        (lambda v, f: ScaleAttention()(v[:2], f), "must be as many.*: 2 features, 3 scores"),
        (lambda v, f: ScaleAttention()(v[0], f[0]), "`features` must be a list of images"),
        (lambda v, f: ScaleAttention()(v, [*f[:2], v[2]]), "`scores` must have as many classes"),
        (lambda v, f: ScaleAttention()(v, [x[0] for x in f]), "`scores` must be images of four"),
        (
            lambda v, f: ScaleAttention(mode="max")(v, f, return_attention=True),
            "`return_attention` must be False unless `mode` is 'attention'. .* mode='max'",
        ),
    ],
)
def test_wrong_arguments(given, call, message):
    with pytest.raises(ValueError, match=message):
        call(*given)
