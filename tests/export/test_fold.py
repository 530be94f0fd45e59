"""BatchNormalization in the convolution before it: the same function, or left alone."""

import keras
import numpy as np
import pytest

import keras_attn
from keras_attn.export.graph.fold import fold_batch_norm
from keras_attn.layers.building_blocks.grouped_conv2d import GroupedConv2D

CONVOLUTIONS = {
    "plain": lambda: keras.layers.Conv2D(6, 3, name="conv"),
    "no bias": lambda: keras.layers.Conv2D(6, (3, 2), strides=2, use_bias=False, name="conv"),
    "grouped": lambda: GroupedConv2D(4, 3, groups=2, name="conv"),
    "depthwise": lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=3, name="conv"),
}


def randomised(model):
    rng = np.random.default_rng(0)
    for weight in model.weights:
        positive = "variance" in weight.path or "gamma" in weight.path
        weight.assign(
            rng.uniform(0.5, 2, weight.shape) if positive else rng.normal(size=weight.shape)
        )
    return model


def images(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("scaled", [True, False])
def test_the_same_numbers(kind, scaled):
    image = keras.Input((7, 11, 2))
    x = keras.layers.Normalization(mean=[0.1, 0.2], variance=[2.0, 3.0], name="n")(image)
    x = CONVOLUTIONS[kind]()(x)
    x = keras.layers.BatchNormalization(center=scaled, scale=scaled, name="bn")(x)
    model = randomised(keras.Model(image, keras.layers.ReLU()(x)))
    folded, count = fold_batch_norm(model)
    assert count == 1
    assert type(folded.get_layer("bn")) is keras.layers.Identity
    x = images(3, 7, 11, 2)
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-5, atol=1e-5)


def test_by_hand():
    image = keras.Input((1, 1, 1))
    x = keras.layers.Conv2D(1, 1, name="conv")(image)
    model = keras.Model(image, keras.layers.BatchNormalization(epsilon=0.0, name="bn")(x))
    model.get_layer("conv").set_weights([np.full((1, 1, 1, 1), 3.0), np.array([5.0])])
    model.get_layer("bn").set_weights([np.array([v]) for v in (2.0, 7.0, 1.0, 4.0)])
    folded, _ = fold_batch_norm(model)
    kernel, bias = folded.get_layer("conv").get_weights()
    assert float(kernel.item()) == 3.0  # 3 * 2 / sqrt(4)
    assert float(bias[0]) == 11.0  # (5 - 1) * 2 / sqrt(4) + 7


def active(x):
    return keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 3, activation="relu")(x))


def read_twice(x):
    x = keras.layers.Conv2D(2, 1)(x)
    return keras.layers.BatchNormalization()(x) + x


def norm_first(x):
    return keras.layers.Conv2D(2, 3)(keras.layers.BatchNormalization()(x))


def norm_used_twice(x):
    norm = keras.layers.BatchNormalization()
    return norm(keras.layers.Conv2D(2, 1)(x)) + norm(x)


def half(x):
    x = keras.layers.Conv2D(2, 3, dtype="mixed_float16")(x)
    return keras.layers.BatchNormalization(dtype="mixed_float16")(x)


def other_axis(x):
    return keras.layers.BatchNormalization(axis=1)(keras.layers.Conv2D(2, 3)(x))


@pytest.mark.parametrize(
    "graph", [active, read_twice, norm_first, norm_used_twice, half, other_axis]
)
def test_left_alone(graph):
    image = keras.Input((7, 11, 2))
    model = keras.Model(image, graph(image))
    assert fold_batch_norm(model) == (model, 0)


def test_a_whole_network():
    model = randomised(keras_attn.applications.CIFARResNet(8, attention="se"))
    for layer in model.layers:  # so that the maps stay near 1
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(layer.kernel / np.sqrt(np.prod(layer.kernel.shape[:3])))
    x = images(2, 32, 32, 3)
    before = [weight.numpy() for weight in model.weights]
    folded, count = fold_batch_norm(model)
    norms = [y for y in model.layers if isinstance(y, keras.layers.BatchNormalization)]
    assert count == len(norms) == 7
    np.testing.assert_allclose(folded(x), model(x), rtol=0, atol=1e-5)
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, weight.numpy())
