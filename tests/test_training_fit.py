"""train and evaluate: what they compute, what they refuse, what a failed run leaves."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.training import ImageDataset, evaluate, train
from keras_attn.training.fit import _soft_labels
from keras_attn.training.optimizers import DEFAULTS, make_optimizer

SHAPE = (5, 7, 3)
CLASSES = ("low", "high", "absent")
QUICK = {"epochs": 2, "batch_size": 8, "augment": "none", "jit_compile": False, "verbose": 0}


def make_dataset(train_size=26, test_size=11, name="bright"):
    """Dark images of class 0, bright ones of class 1; no class 2."""

    def split(size, seed):
        rng = np.random.default_rng(seed)
        labels = np.arange(size) % 2
        images = rng.integers(0, 100, (size, *SHAPE)) + 150 * labels[:, None, None, None]
        return tf.data.Dataset.from_tensor_slices((images.astype("uint8"), labels))

    return ImageDataset(
        name=name,
        class_names=CLASSES,
        image_shape=SHAPE,
        train=split(train_size, 1),
        test=split(test_size, 2),
        train_size=train_size,
        test_size=test_size,
    )


def build_model(classes=3, activation="softmax", shape=SHAPE, bias="zeros"):
    inputs = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(classes, activation=activation, bias_initializer=bias)(x)
    return keras.Model(inputs, x, name="tiny")


@pytest.fixture(scope="module")
def dataset():
    return make_dataset()


def test_train_learns_and_reports(dataset, tmp_path):
    result = train(
        build_model, dataset, tmp_path / "a" / "run", **{**QUICK, "epochs": 12}, learning_rate=0.3
    )
    assert result.metrics["accuracy"] == 1.0
    assert result.metrics["loss"] < 0.3
    assert set(result.history) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert all(len(values) == 12 for values in result.history.values())
    assert result.history["val_loss"][-1] == pytest.approx(result.metrics["loss"], rel=1e-3)
    assert {key: path.name for key, path in result.paths.items()} == {
        "model": "model.keras",
        "history": "history.csv",
        "run": "run.json",
    }
    assert sorted(path.name for path in (tmp_path / "a" / "run").iterdir()) == [
        "history.csv",
        "model.keras",
        "run.json",
    ]
    # The schedule ended: 3 batches of 8 in each of 12 epochs, and the rate is at zero.
    assert int(result.model.optimizer.iterations) == 36
    assert float(result.model.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_seed_fixes_the_result(dataset, tmp_path, optimizer):
    def weights(seed):
        result = train(
            build_model,
            dataset,
            tmp_path,
            **{**QUICK, "augment": "crop_flip"},
            optimizer=optimizer,
            seed=seed,
        )
        return np.concatenate([weight.ravel() for weight in result.model.get_weights()])

    once, again, other = weights(3), weights(3), weights(4)
    np.testing.assert_allclose(once, again, rtol=0, atol=1e-6)
    assert np.abs(once - other).max() > 1e-2


def test_evaluate_by_hand(dataset):
    # A bias alone: each image gets the probabilities 0.5, 0.25 and 0.25.
    model = build_model()
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    model.layers[-1].bias.assign(np.log([0.5, 0.25, 0.25]))
    for batch_size in (3, 128):
        metrics = evaluate(model, dataset, batch_size=batch_size)
        assert metrics["accuracy"] == 6 / 11  # the 6 images of class 0
        expected = (6 * math.log(2) + 5 * math.log(4)) / 11
        assert metrics["loss"] == pytest.approx(expected, rel=1e-6)


def test_label_smoothing_by_hand():
    images, labels = _soft_labels(3, 0.3)(tf.zeros((2, 1)), tf.constant([0, 2]))
    np.testing.assert_allclose(labels, [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], rtol=1e-6)
    assert images.shape == (2, 1)


def test_schedule_by_hand():
    optimizer = make_optimizer(
        "sgd", build_model(), steps=12, warmup_steps=4, learning_rate=0.8, weight_decay=0.0
    )
    schedule = optimizer._learning_rate
    rates = [float(schedule(step)) for step in range(13)]
    np.testing.assert_allclose(rates[:5], [0.0, 0.2, 0.4, 0.6, 0.8], atol=1e-6)
    cosine = [0.4 * (1 + math.cos(math.pi * k / 8)) for k in range(9)]
    np.testing.assert_allclose(rates[4:], cosine, atol=1e-6)


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_weight_decay_spares_biases(name):
    # No gradient: a kernel shrinks by learning rate x weight decay, a bias doesn't.
    model = build_model()
    model.layers[-1].bias.assign([1.0, 1.0, 1.0])
    before = model.get_weights()
    optimizer = make_optimizer(
        name, model, steps=10, warmup_steps=0, learning_rate=0.5, weight_decay=0.1
    )
    optimizer.apply(
        [tf.zeros_like(v) for v in model.trainable_variables], model.trainable_variables
    )
    for old, new in zip(before, model.get_weights(), strict=True):
        factor = 0.95 if old.ndim > 1 else 1.0
        np.testing.assert_allclose(new, factor * old, rtol=1e-6)


def test_a_nan_loss_stops_the_run_and_keeps_the_last_good_one(dataset, tmp_path):
    train(build_model, dataset, tmp_path / "run", **QUICK)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}

    def exploding():
        return build_model(bias=keras.initializers.Constant(math.nan))

    with pytest.raises(FloatingPointError, match="The loss became nan in epoch 1, batch 1"):
        train(exploding, dataset, tmp_path / "run", **QUICK)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    with pytest.raises(FloatingPointError, match="Nothing was written"):
        train(exploding, dataset, tmp_path / "other", **QUICK)
    assert list((tmp_path / "other").iterdir()) == []


def test_a_broken_weight_that_the_loss_does_not_show(dataset, tmp_path):
    class Break(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            kernel = self.model.layers[2].kernel  # ReLU follows: the outputs become 0
            kernel.assign(keras.ops.full(kernel.shape, -math.inf))

    with pytest.raises(FloatingPointError, match="weight .*kernel became -inf at the end"):
        train(build_model, dataset, tmp_path, **QUICK, callbacks=[Break()])
    assert list(tmp_path.iterdir()) == []


def test_callbacks_and_verbose(dataset, tmp_path, capsys):
    epochs = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    train(build_model, dataset, tmp_path, **QUICK, callbacks=[callback])
    assert epochs == [0, 1]
    assert capsys.readouterr().out == ""
    train(build_model, dataset, tmp_path, **{**QUICK, "verbose": "auto"})
    lines = [line for line in capsys.readouterr().out.splitlines() if "val_accuracy" in line]
    assert len(lines) == 2  # no terminal: a line for each epoch


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "`epochs` must be a positive integer. Received: epochs=0"),
        ({"epochs": 1.5}, "Received: epochs=1.5"),
        ({"batch_size": -1}, "`batch_size` must be a positive integer. Received: batch_size=-1"),
        ({"batch_size": 27}, "must not exceed the 26 training images. Received: batch_size=27"),
        ({"learning_rate": 0}, "`learning_rate` must be a positive number. Received: learning_ra"),
        ({"learning_rate": math.nan}, "Received: learning_rate=nan"),
        ({"learning_rate": "fast"}, "Received: learning_rate='fast'"),
        ({"weight_decay": -1e-4}, "`weight_decay` must be a number, 0 or more. Received"),
        ({"warmup": 1.0}, "`warmup` must be a number from 0 to below 1. Received: warmup=1.0"),
        ({"label_smoothing": 1.0}, "`label_smoothing` must be .* Received: label_smoothing=1.0"),
        ({"optimizer": "lion"}, "`optimizer` must be one of 'sgd', 'adamw'. Received"),
        ({"augment": "mixup"}, "`augment` must be one of 'none', 'crop', 'crop_flip'. Received"),
        ({"strategy": "tpu"}, "`strategy` must be one of 'one-device', 'mirrored'. Received"),
        ({"jit_compile": "yes"}, "`jit_compile` must be True, False or 'auto'. Received"),
        ({"seed": -1}, "`seed` must be an integer from 0 .* Received: seed=-1"),
        ({"verbose": 3}, "`verbose` must be 'auto', 0, 1 or 2. Received: verbose=3"),
    ],
)
def test_wrong_arguments(dataset, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        train(build_model, dataset, tmp_path / "run", **{**QUICK, **arguments})
    assert not (tmp_path / "run").exists()


def test_out_must_not_be_a_file(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`out` must be a folder. Received: out='.*file', a file"):
        train(build_model, dataset, tmp_path / "file", **QUICK)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: 3, "`build_model` must return a keras.Model. Received: 3"),
        (lambda: build_model(classes=4), r"the 3 classes of 'bright', .* output shape \(None, 4\)"),
        (lambda: build_model(activation=None), "must end in a softmax. .*activation is 'linear'"),
        (lambda: build_model(shape=(6, 7, 3)), r"\(5, 7, 3\). Received: .*\(None, 6, 7, 3\)"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "output shape None"),
    ],
)
def test_a_model_that_does_not_fit(dataset, tmp_path, build, message):
    with pytest.raises(ValueError, match=message):
        train(build, dataset, tmp_path, **QUICK)
    model = build()
    if isinstance(model, keras.Model):
        with pytest.raises(ValueError, match=message):
            evaluate(model, dataset)
