"""train and evaluate: what they compute, what they refuse, what a failed run leaves."""

import math
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.marks import rest_thorough
from helpers.paths import WITH_HELPERS
from helpers.training import QUICK, SHAPE, Stop, build_model, make_dataset, sure_model, weights_of
from keras_attn.data.batches.tensorflow_pipeline import training_batches
from keras_attn.training import TrainingConfig, TrainResult, evaluate, load_run, train
from keras_attn.training.optimizer_defaults import DEFAULTS
from keras_attn.training.optimizers import StepDecay, make_optimizer


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


@pytest.mark.parametrize("optimizer", rest_thorough(["sgd", "adamw"]))
def test_the_seed_fixes_the_result(dataset, tmp_path, optimizer):
    def weights(seed):
        result = train(
            build_model,
            dataset,
            tmp_path,
            **{**QUICK, "augment": ("crop", "flip")},
            optimizer=optimizer,
            seed=seed,
            overwrite=True,
        )
        return np.concatenate([weight.ravel() for weight in result.model.get_weights()])

    once, again, other = weights(3), weights(3), weights(4)
    np.testing.assert_allclose(once, again, rtol=0, atol=1e-6)
    assert np.abs(once - other).max() > 1e-2


@pytest.mark.slow
def test_the_switch_for_the_same_bits(tmp_path):
    """In a process of its own: TensorFlow doesn't switch back."""
    program = """
import sys
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled
from helpers.training import QUICK, build_model, make_dataset
from keras_attn.training import train
runs = []
for deterministic in (False, True, True):
    assert not is_op_determinism_enabled() or deterministic
    result = train(
        build_model, make_dataset(), sys.argv[1], **{**QUICK, "augment": ("crop", "flip")},
        deterministic=deterministic, overwrite=True,
    )
    runs.append(np.concatenate([weight.ravel() for weight in result.model.get_weights()]))
assert is_op_determinism_enabled()
print("same bits:", runs[1].tobytes() == runs[2].tobytes())
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=WITH_HELPERS)
    assert done.stdout == "same bits: True\n", done.stderr


def test_evaluate_by_hand(dataset):
    # A bias alone: each image gets the probabilities 0.5, 0.25 and 0.25.
    model = build_model()
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    model.layers[-1].bias.assign(np.log([0.5, 0.25, 0.25]))
    for batch_size in (3, 128):
        metrics = evaluate(model, dataset, batch_size=batch_size)
        assert metrics["accuracy"] == np.float32(6 / 11)  # the 6 images of class 0
        expected = (6 * math.log(2) + 5 * math.log(4)) / 11
        assert metrics["loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("mixed_precision", rest_thorough([None, "float16"]))
@pytest.mark.thorough
def test_there_is_one_loss(dataset, tmp_path, mixed_precision):
    quick = {**QUICK, "learning_rate": 1e-6, "mixed_precision": mixed_precision}
    result = train(sure_model, dataset, tmp_path, **quick, keep_best=True)
    assert result.metrics["loss"] > 100  # -log(1e-7) is 16.1
    assert result.metrics == {
        name: result.history[f"val_{name}"][-1] for name in ("loss", "accuracy")
    }
    loaded, record = load_run(tmp_path)
    assert record["metrics"] == result.metrics
    by_keras = keras.saving.load_model(tmp_path / "model.keras")
    labels = keras.utils.to_categorical(dataset.test.labels, 3)
    images = dataset.test.images.astype("float32")
    theirs = by_keras.evaluate(images, labels, batch_size=8, verbose=0, return_dict=True)
    for model in (result.model, loaded, by_keras):
        before = model.compiled, getattr(model, "optimizer", None)
        ours = evaluate(model, dataset, batch_size=8)
        assert ours == pytest.approx(theirs, rel=1e-5)
        assert ours == pytest.approx(result.metrics, rel=1e-5)
        assert (model.compiled, getattr(model, "optimizer", None)) == before
    best = evaluate(keras.saving.load_model(tmp_path / "best.keras"), dataset, batch_size=8)
    place = record["best"]["epoch"] - 1
    assert best["accuracy"] == record["best"]["accuracy"] == result.history["val_accuracy"][place]
    assert best["loss"] == pytest.approx(result.history["val_loss"][place], rel=1e-5)


def test_the_loss_has_what_regularizers_add(dataset, tmp_path):
    def build():
        inputs = keras.Input(SHAPE)
        x = keras.layers.GlobalAveragePooling2D()(inputs)
        kernel = keras.regularizers.L2(0.5)
        x = keras.layers.Dense(3, activation="softmax", kernel_regularizer=kernel)(x)
        return keras.Model(inputs, x)

    result = train(build, dataset, tmp_path, **QUICK)
    assert result.metrics["loss"] == result.history["val_loss"][-1]
    assert evaluate(result.model, dataset)["loss"] == pytest.approx(
        result.metrics["loss"], rel=1e-6
    )
    added = 0.5 * float(np.square(result.model.layers[-1].kernel.numpy()).sum())
    assert result.metrics["loss"] > added > 0.1


def test_schedule_by_hand():
    config = TrainingConfig(epochs=1, warmup=1 / 3, learning_rate=0.8, weight_decay=0.0)
    schedule = make_optimizer(config, build_model(), steps=12)._learning_rate
    rates = [float(schedule(step)) for step in range(13)]
    np.testing.assert_allclose(rates[:5], [0.0, 0.2, 0.4, 0.6, 0.8], atol=1e-6)
    cosine = [0.4 * (1 + math.cos(math.pi * k / 8)) for k in range(9)]
    np.testing.assert_allclose(rates[4:], cosine, atol=1e-6)


def test_step_schedule_by_hand():
    schedule = StepDecay(0.8, [6, 9], warmup_steps=4)
    rates = [float(schedule(step)) for step in range(11)]
    expected = [0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.08, 0.08, 0.08, 0.008, 0.008]
    np.testing.assert_allclose(rates, expected, atol=1e-7)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert again.get_config() == schedule.get_config()
    assert float(StepDecay(0.5, [])(0)) == 0.5
    with pytest.raises(ValueError, match=r"`boundaries` must ascend. Received: boundaries=\[2, 1"):
        StepDecay(0.5, [2, 1])


@pytest.mark.thorough
def test_two_batches_accumulated_are_one_of_both(tmp_path):
    # 24 images: the passes of both are the same three updates.
    dataset, quick = make_dataset(train_size=24), {**QUICK, "epochs": 3}
    whole = train(build_model, dataset, tmp_path / "a", **quick)
    halves = train(
        build_model, dataset, tmp_path / "b", **{**quick, "batch_size": 4}, accumulation_steps=2
    )
    np.testing.assert_allclose(weights_of(whole), weights_of(halves), rtol=0, atol=1e-6)


@pytest.mark.thorough
def test_the_average_of_the_weights_is_kept(dataset, tmp_path):
    seen = []

    class Follow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(np.concatenate([w.ravel() for w in self.model.get_weights()]))

    result = train(build_model, dataset, tmp_path, **QUICK, ema=0.5, callbacks=[Follow()])
    assert len(seen) == 6
    average = seen[0]
    for weights in seen[1:]:
        average = 0.5 * average + 0.5 * weights
    kept = weights_of(result)
    np.testing.assert_allclose(kept, average, rtol=0, atol=1e-6)
    assert np.abs(kept - seen[-1]).max() > 1e-4


@pytest.mark.parametrize("mixed_precision", ["float16", "bfloat16"])
@pytest.mark.thorough
def test_mixed_precision(dataset, tmp_path, mixed_precision):
    before = keras.config.dtype_policy().name
    result = train(build_model, dataset, tmp_path, **QUICK, mixed_precision=mixed_precision)
    assert keras.config.dtype_policy().name == before
    assert result.model.layers[2].compute_dtype == mixed_precision
    assert result.model.layers[2].kernel.dtype == "float32"
    scaled = isinstance(result.model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (mixed_precision == "float16")


def test_a_stopped_training_goes_on(dataset, tmp_path):
    quick = {**QUICK, "epochs": 4, "augment": ("crop",), "evaluate_every": 3, "optimizer": "adamw"}
    whole = train(build_model, dataset, tmp_path / "whole", **quick)
    with pytest.raises(KeyboardInterrupt):
        train(build_model, dataset, tmp_path / "run", **quick, callbacks=[Stop(2)])
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["unfinished"]
    lines = (tmp_path / "run" / "unfinished" / "history.csv").read_text().splitlines()
    assert len(lines) == 3
    with pytest.raises(ValueError, match="unfinished training.*learning_rate was 0.001 and is 0.5"):
        train(build_model, dataset, tmp_path / "run", **quick, learning_rate=0.5)
    result = train(build_model, dataset, tmp_path / "run", **quick)
    np.testing.assert_allclose(weights_of(result), weights_of(whole), rtol=0, atol=1e-6)
    assert result.history.keys() == whole.history.keys()
    assert result.history["val_loss"][:2] == [None, None]
    for name, values in whole.history.items():
        for a, b in zip(result.history[name], values, strict=True):
            assert a == b or a == pytest.approx(b, abs=1e-5)
    assert not (tmp_path / "run" / "unfinished").exists()


SLOW = {**QUICK, "epochs": 9, "learning_rate": 1e-9, "warmup": 0.0}  # the accuracy stays


@pytest.mark.filterwarnings("ignore:Early stopping conditioned on metric:UserWarning")  # Keras's
@pytest.mark.parametrize(
    ("patience", "every", "epochs"),
    [
        *rest_thorough([(1, 2, 4), (2, 1, 3), (1, 1, 2)]),
        *(pytest.param(*n, marks=pytest.mark.slow) for n in ((2, 3, 9), (9, 1, 9))),
    ],
)
def test_patience_ends_a_training_where_keras_would(dataset, tmp_path, patience, every, epochs):
    quick = {**SLOW, "evaluate_every": every}
    result = train(build_model, dataset, tmp_path / "ours", **quick, patience=patience)
    assert len(result.history["loss"]) == epochs
    theirs = keras.callbacks.EarlyStopping(monitor="val_accuracy", mode="max", patience=patience)
    by_keras = train(build_model, dataset, tmp_path / "theirs", **quick, callbacks=[theirs])
    assert result.history == by_keras.history
    again = train(build_model, dataset, tmp_path / "ours", **quick, patience=patience)
    assert again.was_finished and again.history == result.history


@pytest.mark.parametrize("stopped_in", rest_thorough(["epoch", "end"]))
@pytest.mark.thorough
def test_patience_is_the_same_after_a_stop(dataset, tmp_path, stopped_in):
    def fails(logs=None):
        raise KeyboardInterrupt

    quick = {**SLOW, "patience": 2, "keep_best": True}
    whole = train(build_model, dataset, tmp_path / "whole", **quick)
    at_end = keras.callbacks.LambdaCallback(on_train_end=fails)
    stop = Stop(2) if stopped_in == "epoch" else at_end
    with pytest.raises(KeyboardInterrupt):
        train(build_model, dataset, tmp_path / "run", **quick, callbacks=[stop])
    epochs = []
    seen = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
    result = train(build_model, dataset, tmp_path / "run", **quick, callbacks=[seen])
    assert epochs == ([2] if stopped_in == "epoch" else [])
    np.testing.assert_allclose(weights_of(result), weights_of(whole), rtol=0, atol=1e-6)
    assert len(result.history["loss"]) == 3
    record = load_run(tmp_path / "run")[1]
    assert record["epochs"] == 3 and record["best"]["epoch"] == 1


def test_an_unfinished_training_can_be_discarded(dataset, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(build_model, dataset, tmp_path, **QUICK, callbacks=[Stop(1)])
    epochs = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    train(build_model, dataset, tmp_path, **QUICK, seed=5, resume=False, callbacks=[callback])
    assert epochs == [0, 1]


@pytest.mark.thorough
def test_tensorboard(dataset, tmp_path):
    train(build_model, dataset, tmp_path, **QUICK, tensorboard=True)
    assert list((tmp_path / "tensorboard").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize("decay_all", [False, True])
@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_weight_decay_spares_biases(name, decay_all):
    # No gradient: a kernel shrinks by learning rate x weight decay, a bias doesn't.
    model = build_model()
    model.layers[-1].bias.assign([1.0, 1.0, 1.0])
    before = model.get_weights()
    config = TrainingConfig(
        epochs=1, optimizer=name, warmup=0.0, learning_rate=0.5, weight_decay=0.1,
        decay_all=decay_all,
    )  # fmt: skip
    optimizer = make_optimizer(config, model, steps=10)
    optimizer.apply(
        [tf.zeros_like(v) for v in model.trainable_variables], model.trainable_variables
    )
    for old, new in zip(before, model.get_weights(), strict=True):
        factor = 0.95 if old.ndim > 1 or decay_all else 1.0
        np.testing.assert_allclose(new, factor * old, rtol=1e-6)


def test_a_nan_loss_stops_the_run_and_keeps_the_last_good_one(dataset, tmp_path):
    train(build_model, dataset, tmp_path / "run", **QUICK)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}

    def exploding():
        return build_model(bias=keras.initializers.Constant(math.nan))

    with pytest.raises(FloatingPointError, match="The loss became nan in epoch 1, batch 1"):
        train(exploding, dataset, tmp_path / "run", **QUICK, overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    with pytest.raises(FloatingPointError, match="written before stays as it was"):
        train(exploding, dataset, tmp_path / "other", **QUICK)
    assert list((tmp_path / "other").iterdir()) == []


def test_a_broken_weight_that_the_loss_does_not_show(dataset, tmp_path):
    class Break(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            bias = self.model.layers[2].bias  # ReLU follows: the outputs become 0
            bias.assign(keras.ops.full(bias.shape, -math.inf))

    with pytest.raises(FloatingPointError, match="weight .*bias became -inf at the end"):
        train(build_model, dataset, tmp_path, **QUICK, callbacks=[Break()])
    assert [path.name for path in tmp_path.iterdir()] == ["unfinished"]


def test_callbacks_and_verbose(dataset, tmp_path, capsys):
    epochs = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    train(build_model, dataset, tmp_path, **QUICK, callbacks=[callback])
    assert epochs == [0, 1]
    assert capsys.readouterr().out == ""
    train(build_model, dataset, tmp_path, **{**QUICK, "verbose": "auto"}, overwrite=True)
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
        ({"augment": "crop"}, "`augment` must be a sequence of names .* Received: augment='crop'"),
        ({"augment": ["zoom"]}, "in which 'zoom' is none"),
        ({"strategy": "ddp"}, "`strategy` must be one of 'one-device', 'mirrored', .* Received"),
        ({"strategy": 3}, "`strategy` must be the name of a strategy or a tf.distribute.Strategy"),
        ({"schedule": "linear"}, "`schedule` must be one of 'cosine', 'step'. Received"),
        ({"milestones": (0.7, 0.5)}, "`milestones` must be ascending shares"),
        ({"ema": 1.0}, "`ema` must be a number between 0 and 1 or None. Received: ema=1.0"),
        ({"clip_norm": 0}, "`clip_norm` must be a positive number or None"),
        ({"mixed_precision": "int8"}, "`mixed_precision` must be one of None, 'float16'"),
        ({"synchronized": 1}, "`synchronized` must be a bool. Received: synchronized=1"),
        ({"accumulation_steps": 0}, "`accumulation_steps` must be a positive integer"),
        ({"accumulation_steps": 4}, "must not ask for more than the 3 batches of a pass"),
        ({"evaluate_every": 0}, "`evaluate_every` must be a positive integer"),
        ({"jit_compile": "yes"}, "`jit_compile` must be one of True, False, 'auto'. Received"),
        ({"seed": -1}, "`seed` must be an integer from 0 .* Received: seed=-1"),
        ({"verbose": 3}, "`verbose` must be 'auto', 0, 1 or 2. Received: verbose=3"),
    ],
)
def test_wrong_arguments(dataset, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        train(build_model, dataset, tmp_path / "run", **{**QUICK, **arguments})
    assert not (tmp_path / "run" / "model.keras").exists()


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


@pytest.mark.parametrize(
    "augment", [("mixup", "cutmix"), pytest.param(("flip",), marks=pytest.mark.slow)], ids=len
)
@pytest.mark.thorough
def test_what_the_device_finishes_is_what_training_batches_gives(augment, tmp_path):
    dataset, options = make_dataset(), {**QUICK, "augment": augment, "seed": 4}
    result = train(build_model, dataset, tmp_path, **options)
    config = TrainingConfig(**options)
    keras.utils.set_random_seed(4)
    model = build_model()
    model.compile(make_optimizer(config, model, steps=6), "categorical_crossentropy")
    batches = training_batches(dataset, 8, augment=augment, seed=4)
    model.fit(batches, steps_per_epoch=3, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(weights_of(result), weights_of(TrainResult(model, {}, {}, {})))
    before = result.model.get_weights()
    result.model.fit(*np_batch(dataset), verbose=0)  # whose steps are its own again
    assert any((a != b).any() for a, b in zip(before, result.model.get_weights(), strict=True))


def np_batch(dataset):
    images, labels = dataset.train.images[:8].astype("float32"), dataset.train.labels[:8]
    return images, keras.utils.to_categorical(labels, 3)
