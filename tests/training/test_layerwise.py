"""Rates and decays by layer: what each weight moves by, on one device and on two."""

import keras
import numpy as np
import pytest

from keras_attn.training.config import TrainingConfig
from keras_attn.training.layerwise import LayerwiseAdamW, LayerwiseSGD, factors_by_weight
from keras_attn.training.optimizers import make_optimizer


def two_weights():
    return [keras.Variable(np.full(3, 2.0, "float32"), name=name) for name in ("a", "b")]


def test_sgd_by_hand():
    a, b = two_weights()
    optimizer = LayerwiseSGD(
        0.5,
        weight_decay=0.25,
        learning_rate_factors={"a": 0.1},
        weight_decay_factors={"b": 3.0},
    )
    optimizer.apply([np.ones(3, "float32"), np.ones(3, "float32")], [a, b])
    # w (1 - rate decay) - rate
    np.testing.assert_allclose(a.numpy(), 2 * (1 - 0.05 * 0.25) - 0.05, rtol=1e-6)
    np.testing.assert_allclose(b.numpy(), 2 * (1 - 0.5 * 0.75) - 0.5, rtol=1e-6)
    assert optimizer.weight_decay == 0.25


def test_adamw_by_hand():
    """Where scaling the gradient would change nothing: Adam's first step is the rate."""
    a, b = two_weights()
    optimizer = LayerwiseAdamW(0.5, weight_decay=0.0, learning_rate_factors={"a": 0.1})
    optimizer.apply([np.full(3, 7.0, "float32")] * 2, [a, b])
    np.testing.assert_allclose(a.numpy(), 2 - 0.05, rtol=1e-5)
    np.testing.assert_allclose(b.numpy(), 2 - 0.5, rtol=1e-5)


def test_clipping_sees_the_whole_gradient():
    a, b = two_weights()
    optimizer = LayerwiseSGD(1.0, global_clipnorm=1.0, learning_rate_factors={"a": 0.5})
    optimizer.apply([np.array([3.0, 0, 0], "float32"), np.array([4.0, 0, 0], "float32")], [a, b])
    np.testing.assert_allclose(a.numpy(), [2 - 0.5 * 0.6, 2, 2], rtol=1e-6)
    np.testing.assert_allclose(b.numpy(), [2 - 0.8, 2, 2], rtol=1e-6)


@pytest.mark.parametrize("kind", [LayerwiseSGD, LayerwiseAdamW])
def test_config_round_trip(kind):
    optimizer = kind(0.1, learning_rate_factors={"a": 0.5}, weight_decay_factors={"b": 2.0})
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is kind
    assert again.learning_rate_factors == {"a": 0.5}
    assert again.weight_decay_factors == {"b": 2.0}


def model():
    image = keras.Input((5, 7, 3))
    x = keras.layers.Conv2D(4, 3, name="stem_conv")(image)
    x = keras.layers.BatchNormalization(name="stem_bn")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, "softmax", name="predictions")(x))


def test_patterns_of_layer_names():
    found = factors_by_weight(model(), {"stem_b*": 0.5, "stem*": 0.1, "pred*": 1.0}, "factors")
    assert found == {
        "stem_conv/kernel": 0.1,
        "stem_conv/bias": 0.1,
        "stem_bn/gamma": 0.5,
        "stem_bn/beta": 0.5,
    }


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"stage*": 0.1}, r"`rates` must have patterns that fit.*stem_conv.*Received: stage\*"),
        ({"stem*": -1.0}, r"`rates` must be 0 or more.*stem"),
        ({"stem*": float("nan")}, "`rates` must be 0 or more"),
    ],
)
def test_wrong_factors(factors, message):
    with pytest.raises(ValueError, match=message):
        factors_by_weight(model(), factors, "rates")


def test_frozen_layers_have_no_factor():
    network = model()
    network.get_layer("stem_conv").trainable = False
    with pytest.raises(ValueError, match="`rates` must have patterns"):
        factors_by_weight(network, {"stem_conv": 0.1}, "rates")


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.thorough
def test_one_step_of_a_network(name):
    """Each weight moves by its factor of what it moves by without one."""
    keras.utils.set_random_seed(0)
    network = model()
    before = [weight.numpy() for weight in network.trainable_variables]
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 5, 7, 3)).astype("float32")
    labels = np.eye(3, dtype="float32")[rng.integers(0, 3, 8)]

    def moves(factors):
        for weight, value in zip(network.trainable_variables, before, strict=True):
            weight.assign(value)
        config = TrainingConfig(
            epochs=1, optimizer=name, learning_rate=0.1, weight_decay=0.1, warmup=0.0,
            learning_rate_factors=factors,
        )  # fmt: skip
        optimizer = make_optimizer(config, network, steps=10)
        network.compile(optimizer, "categorical_crossentropy", jit_compile=False)
        network.train_on_batch(images, labels)
        after = [weight.numpy() for weight in network.trainable_variables]
        return [b - a for a, b in zip(before, after, strict=True)]

    plain = moves(None)
    slow = moves({"stem*": 0.25})
    for weight, whole, part in zip(network.trainable_variables, plain, slow, strict=True):
        factor = 0.25 if weight.path.startswith("stem") else 1.0
        np.testing.assert_allclose(part, factor * whole, rtol=1e-4, atol=1e-7)
