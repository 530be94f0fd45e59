"""The loss by hand, and a model that trains, saves and is exported; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.applications import DeepRecurrentAttention, GlimpseClassifier, RecurrentAttention

LABELS = np.array([0, 1, 2, 0, 1, 2])


def make(**options):
    keras.utils.set_random_seed(0)
    small = {"num_glimpses": 3, "units": 16, "hidden_units": 8, "num_scales": 2, "seed": 0}
    return RecurrentAttention((12, 12, 1), 3, **{**small, **options})


@pytest.fixture(scope="module")
def images():
    """Noise on a ground whose brightness is the class."""
    noise = np.random.default_rng(0).uniform(0, 55, (6, 12, 12, 1))
    return (noise + 100 * LABELS[:, None, None, None]).astype("float32")


@pytest.mark.parametrize("sample_weight", [None, np.array([0.0, 2.0])])
def test_the_loss_by_hand(sample_weight):
    outputs = {
        "probabilities": np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2]], "float32"),
        "baselines": np.array([[0.5, 0.25, 1.0], [0.0, 0.5, 0.5]], "float32"),
        "log_densities": np.array([[-1.0, 2.0], [3.0, 1.0]], "float32"),
        "locations": np.zeros((2, 3, 2), "float32"),
    }
    labels = np.array([1, 1])  # the first is right, the second wrong
    first = -np.log(0.7) + (0.5**2 + 0.75**2) / 3 - (-1 * 0.5 + 2 * 0.75)
    second = -np.log(0.3) + (0.5**2 + 0.5**2) / 3 - (3 * 0 + 1 * -0.5)
    weights = np.ones(2) if sample_weight is None else sample_weight
    loss = make().compute_loss(
        y=labels,
        y_pred={name: ops.convert_to_tensor(value) for name, value in outputs.items()},
        sample_weight=sample_weight,
    )
    assert float(loss) == pytest.approx((weights * [first, second]).mean(), rel=1e-6)


def test_the_loss_of_shares_by_hand():
    """Of one-hot labels as of their numbers; of shares, the likeliest class's is the reward."""
    given = {
        "probabilities": np.array([[0.2, 0.7, 0.1]], "float32"),
        "baselines": np.array([[0.5, 0.25, 1.0]], "float32"),
        "log_densities": np.array([[-1.0, 2.0]], "float32"),
        "locations": np.zeros((1, 3, 2), "float32"),
    }
    given = {name: ops.convert_to_tensor(value) for name, value in given.items()}
    model = make()
    one_hot = model.compute_loss(y=np.array([[0, 1, 0]]), y_pred=given)
    assert float(one_hot) == float(model.compute_loss(y=np.array([1]), y_pred=given))
    expected = -0.4 * np.log(0.2) - 0.6 * np.log(0.7)
    expected += (0.1**2 + 0.35**2 + 0.4**2) / 3 - (-1 * 0.1 + 2 * 0.35)
    mixed = model.compute_loss(y=np.array([[0.4, 0.6, 0]], "float32"), y_pred=given)
    assert float(mixed) == pytest.approx(expected, rel=1e-6)


@pytest.mark.thorough
def test_it_trains_and_is_saved(images, tmp_path):
    model = make()
    model.compile(keras.optimizers.Adam(1e-2), metrics=["accuracy"])
    before = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    many = np.tile(images, (10, 1, 1, 1)), np.tile(LABELS, 10)
    history = model.fit(*many, epochs=5, batch_size=6, verbose=0).history
    assert history["accuracy"][-1] > 0.9 > 0.7 > history["accuracy"][0]
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.abs(ops.convert_to_numpy(weight) - old).max() > 0, weight.path
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, GlimpseClassifier)
    expected = model.predict(images, verbose=0)
    for name, value in loaded.predict(images, verbose=0).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)
    found = model.evaluate(images, LABELS, verbose=0, return_dict=True)
    right = (expected["probabilities"].argmax(-1) == LABELS).mean()
    assert found["accuracy"] == pytest.approx(right)


@pytest.mark.thorough
def test_samples_are_means_over_runs(images):
    model = make(location_std=0.5)
    one, many = (ops.convert_to_numpy(model.sample(images, n)) for n in (1, 40))
    np.testing.assert_allclose(many.sum(axis=-1), 1, rtol=1e-5)
    again = ops.convert_to_numpy(model.sample(images, 40))
    assert np.abs(many - again).mean() < np.abs(one - many).mean()


def test_wrong_labels_and_numbers(images):
    model = make()
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"`y` must be the numbers of the classes.*shape \(6, 4\)"):
        model.fit(images, np.eye(4)[LABELS], batch_size=6, verbose=0)
    with pytest.raises(
        ValueError, match="`num_samples` must be a positive integer. Received: .*=0"
    ):
        model.sample(images, 0)


def test_images_are_scaled_where_asked(images):
    raw, scaled = make(), make(include_preprocessing=False)
    scaled.set_weights(raw.get_weights())
    np.testing.assert_allclose(
        ops.convert_to_numpy(raw(images)["probabilities"]),
        ops.convert_to_numpy(scaled(images / 255)["probabilities"]),
        rtol=1e-5,
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is TensorFlow's")
def test_a_saved_model_says_where_it_looked(images, tmp_path):
    import tensorflow as tf

    model = make()
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    found = loaded.serve(images)
    for name, value in model(images).items():
        np.testing.assert_allclose(found[name], value, atol=1e-6)


def make_deep(**options):
    keras.utils.set_random_seed(0)
    small = {"num_glimpses": 2, "glimpse_size": 4, "num_scales": 1, "filters": (3,), "context": 6}
    small |= {"units": 16, "hidden_units": 8, "location_units": 6, "seed": 0}
    return DeepRecurrentAttention((12, 12, 1), 3, targets=2, **{**small, **options})


@pytest.mark.parametrize("context", [6, None])
def test_the_loss_of_several_targets_by_hand(context):
    """The second image has one target, then the end; the third none: nothing else counts there."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.1, 1, (3, 2, 4))
    probabilities = scores / scores.sum(-1, keepdims=True)
    places = 4 if context else 3
    densities, baselines = rng.normal(size=(3, places)), rng.uniform(size=(3, 4))
    labels = np.array([[1, 2], [0, 3], [3, 3]])
    counts = np.array([[1, 1], [1, 1], [1, 0]])
    right = (probabilities.argmax(-1) == labels) * counts
    expected = []
    for image in range(3):
        entropy = -np.log(probabilities[image, [0, 1], labels[image]]) * counts[image]
        to_come = [right[image].sum(), right[image, 1]]
        # Two glimpses a target: the first place is chosen with a context only.
        returns = np.take(to_come, [0, 0, 1, 1] if context else [0, 1, 1, 1])
        off = returns - baselines[image]
        chosen = (densities[image] * off[:places]).sum()
        expected.append(entropy.sum() + (off**2).mean() - chosen)
    outputs = {"probabilities": probabilities, "log_densities": densities, "baselines": baselines}
    outputs = {name: ops.convert_to_tensor(x, "float32") for name, x in outputs.items()}
    loss = make_deep(context=context).compute_loss(y=labels, y_pred=outputs)
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.thorough
def test_several_targets_train_and_are_saved(images, tmp_path):
    """Every weight learns: the context, the second layer and the policy by reinforcement."""
    model = make_deep()
    labels = np.stack([LABELS, LABELS[::-1]], axis=1)
    model.compile(keras.optimizers.Adam(1e-2), metrics=["accuracy"])
    before = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    many = np.tile(images, (20, 1, 1, 1)), np.tile(labels, (20, 1))
    history = model.fit(*many, epochs=8, batch_size=6, verbose=0).history
    assert history["accuracy"][-1] > 0.9 > 0.7 > history["accuracy"][0]
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.abs(ops.convert_to_numpy(weight) - old).max() > 0, weight.path
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(images, verbose=0)
    assert expected["probabilities"].shape == (6, 2, 4)
    for name, value in loaded.predict(images, verbose=0).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)
    assert model.sample(images, 3).shape == (6, 2, 4)


def test_labels_of_another_number_of_targets(images):
    model = make_deep()
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"`y` must be .*, \(B, 2\)\. Received: .*\(6, 3\)"):
        model.fit(images, np.zeros((6, 3)), batch_size=6, verbose=0)
