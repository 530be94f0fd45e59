"""Attention put into the networks of keras.applications: the same outputs, names and weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn import insert_attention, remove_attention
from keras_attn.insertion import InsertedAttention
from keras_attn.kinds import KINDS
from keras_attn.layers import CBAM, SqueezeExcite

SIDE = 64


# Constructor, what makes it small, and where its blocks end.
NETWORKS = {
    "ResNet50": (keras.applications.ResNet50, {}, "conv?_block?_out", 16),
    "MobileNetV2": (keras.applications.MobileNetV2, {}, "block_*_add", 10),
    "EfficientNetB0": (keras.applications.EfficientNetB0, {}, "block??_add", 9),
    "ConvNeXtTiny": (keras.applications.ConvNeXtTiny, {}, "add*", 18),
    "DenseNet121": (keras.applications.DenseNet121, {}, "conv[345]_block*[05]_concat", 9),
}


def pixels(seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")


_made: dict = {}


def make(name):
    """A network as if it were trained, and its outputs; one at a time."""
    if name not in _made:
        _made.clear()
        keras.backend.clear_session()
        construct, arguments, _, _ = NETWORKS[name]
        model = construct(
            weights=None,
            input_shape=(SIDE, SIDE, 3),
            classes=7,
            classifier_activation=None,
            **arguments,
        )
        rng = np.random.default_rng(1)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                gamma, beta, mean, variance = layer.get_weights()
                layer.set_weights(
                    [
                        rng.uniform(0.5, 1.5, gamma.shape),
                        rng.normal(0, 0.1, beta.shape),
                        rng.normal(0, 0.1, mean.shape),
                        rng.uniform(0.5, 1.5, variance.shape),
                    ]
                )
            elif isinstance(layer, keras.layers.Normalization) and layer.weights:
                mean, variance, count = layer.get_weights()
                layer.set_weights([mean + 0.5, variance * 0.1, count])
                layer.finalize_state()
        _made[name] = model, model(pixels()).numpy()
    return _made[name]


def check(network, kind, *, compiled=True):
    model, eager = make(network)
    _, _, where, number = NETWORKS[network]
    attending = insert_attention(model, kind, where=where)
    new = [layer for layer in attending.layers if isinstance(layer, InsertedAttention)]
    assert len(new) == number
    old = {layer.name for layer in model.layers}
    assert {layer.name for layer in attending.layers} - {x.name for x in new} == old
    assert attending.layers[0].name == model.layers[0].name
    np.testing.assert_array_equal(attending(pixels()), eager)
    if compiled:
        graph = model.predict(pixels(), verbose=0)
        np.testing.assert_array_equal(attending.predict(pixels(), verbose=0), graph)
    back = remove_attention(attending)
    assert [layer.name for layer in back.layers] == [layer.name for layer in model.layers]
    for mine, before in zip(back.weights, model.weights, strict=True):
        np.testing.assert_array_equal(mine, before)
    return attending


@pytest.mark.thorough
def test_one_kind_in_a_network():
    check("MobileNetV2", "sse", compiled=False)


@pytest.mark.slow
@pytest.mark.parametrize("network, kind", [(n, k) for n in NETWORKS for k in KINDS])
def test_every_kind_in_each(network, kind):
    attending = check(network, kind)
    new = [layer for layer in attending.layers if isinstance(layer, InsertedAttention)]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(attending(pixels(), training=True) ** 2)
    scalars = [layer.a for layer in new if layer.a is not None]
    for gradient in tape.gradient(loss, [a.value for a in scalars]):
        assert np.isfinite(gradient) and float(gradient) != 0


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_files(network, tmp_path):
    attending = check(network, CBAM(4))
    for layer in attending.layers:
        if isinstance(layer, InsertedAttention):
            layer.a.assign(0.1)
    expected = attending(pixels()).numpy()
    attending.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(pixels()), expected)
    attending.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(pixels()), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_inside_the_blocks():
    """Exact but for TensorFlow's graph optimizer, which adds in another order there."""
    model, eager = make("ResNet50")
    attending = insert_attention(model, SqueezeExcite(), where="conv?_block?_3_bn")
    np.testing.assert_array_equal(attending(pixels()), eager)
    graph = model.predict(pixels(), verbose=0)
    np.testing.assert_allclose(
        attending.predict(pixels(), verbose=0), graph, atol=1e-5 * np.abs(graph).max()
    )
    attending.compile(jit_compile=True)
    model.compile(jit_compile=True)
    np.testing.assert_array_equal(
        attending.predict(pixels(), verbose=0), model.predict(pixels(), verbose=0)
    )
