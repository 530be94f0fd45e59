"""get_strategy, and that two replicas give what one device gives."""

import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from keras_attn.training import get_strategy
from keras_attn.training.placement.base import Placement
from keras_attn.training.placement.names import STRATEGIES
from keras_attn.training.placement.strategies.mirrored import Mirrored
from keras_attn.training.placement.strategies.multi_worker import Workers
from keras_attn.training.placement.strategies.one_device import OneDevice
from keras_attn.training.placement.strategy import kind_for, kind_of, place

# In processes of their own: logical devices are made before TensorFlow starts.
PREPARED = """
import json, pathlib, sys
import tensorflow as tf

cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)

import keras
import numpy as np
from keras_attn.training import ImageDataset, evaluate, get_strategy, load_run, train

rng = np.random.default_rng(0)

def split(size):
    labels = rng.integers(0, 3, size)
    images = rng.integers(0, 180, (size, 8, 8, 3)) + 30 * labels[:, None, None, None]
    return images.astype("uint8"), labels

data = ImageDataset.from_arrays(split(67), split(33), class_names="abc", name="noise")

def build_model(synchronized=True):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(5, 3, strides=2)(x)
    x = keras.layers.BatchNormalization(momentum=0.9, synchronized=synchronized)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))

out = pathlib.Path(sys.argv[1])
arguments = dict(epochs=2, batch_size=16, learning_rate=0.05, label_smoothing=0.1,
                 augment=("crop", "flip"), jit_compile=False, verbose=0)

def own(folder, *callbacks):
    # Statistics of its own on each replica; the moving average of the weights is evaluated.
    return train(lambda: build_model(synchronized=False), data, out / folder, strategy="mirrored",
                 ema=0.5, callbacks=callbacks, **arguments)

def difference(a, b):
    return max(float(np.abs(x - y).max()) for x, y in zip(a.get_weights(), b.get_weights()))
"""

AS_ONE_DEVICE = """
class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

one = train(build_model, data, out / "one", **arguments)
two = train(build_model, data, out / "two", strategy="mirrored", **arguments)
whole = own("whole")
try:
    own("stopped", Stop())
except KeyboardInterrupt:
    again = own("stopped")
print(json.dumps({
    "replicas": get_strategy("mirrored").num_replicas_in_sync,
    "one_replicas": get_strategy("one-device").num_replicas_in_sync,
    "recorded": load_run(out / "two")[1]["replicas"],
    "moved": max(float(np.abs(w).max()) for w in two.model.get_weights()),
    "weights": difference(one.model, two.model),
    "history": max(abs(x - y) for k in one.history for x, y in zip(one.history[k], two.history[k])),
    "metrics": abs(one.metrics["loss"] - two.metrics["loss"]),
    "again": [whole.metrics, again.metrics],
    "restarted": difference(whole.model, again.model),
}))
"""

OWN_STATISTICS = """
def message(**changes):
    try:
        train(changes.pop("build", build_model), data, out / "bad", strategy="mirrored",
              **{**arguments, **changes})
    except ValueError as error:
        return str(error)

whole = own("own")
loaded, record = load_run(out / "own")
moving = [w.value for w in whole.model.non_trainable_weights]
outside = build_model()
print(json.dumps({
    "own": [whole.metrics, evaluate(loaded, data),
            {name: whole.history["val_" + name][-1] for name in ("loss", "accuracy")}],
    "loaded": difference(loaded, whole.model),
    # 33 images in batches of 16: the last one leaves a replica empty.
    "again": abs(evaluate(whole.model, data, batch_size=16)["loss"] - whole.metrics["loss"]),
    "statistics": max(float(np.abs(a.numpy() - b.numpy()).max()) for a, b in
                      ([each for each in v.values] for v in moving)),
    "odd": message(batch_size=15),
    "jit": message(jit_compile=True),
    "outside": message(build=lambda: outside),
}))
"""


def result_of(program, out):
    process = subprocess.run(
        [sys.executable, "-c", PREPARED + program, str(out)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def two_replicas(tmp_path_factory):
    return result_of(OWN_STATISTICS, tmp_path_factory.mktemp("mirrored"))


@pytest.mark.slow
def test_two_replicas_equal_one_device(tmp_path):
    two_replicas = result_of(AS_ONE_DEVICE, tmp_path)
    assert (two_replicas["replicas"], two_replicas["one_replicas"]) == (2, 1)
    assert two_replicas["recorded"] == 2
    assert two_replicas["moved"] > 0.1
    assert two_replicas["weights"] < 1e-6
    assert two_replicas["history"] < 1e-5
    assert two_replicas["metrics"] < 1e-6
    whole, again = two_replicas["again"]
    assert whole == again and two_replicas["restarted"] == 0


@pytest.mark.thorough
def test_metrics_are_those_of_the_model_that_is_kept(two_replicas):
    whole, loaded, history = two_replicas["own"]
    assert whole == history
    assert two_replicas["statistics"] == 0
    assert loaded["accuracy"] == whole["accuracy"]
    assert loaded["loss"] == pytest.approx(whole["loss"], rel=1e-6)


@pytest.mark.thorough
def test_a_mirrored_run_loads_and_evaluates(two_replicas):
    assert two_replicas["loaded"] == 0
    assert two_replicas["again"] < 1e-6


@pytest.mark.thorough
def test_what_several_replicas_refuse(two_replicas):
    assert two_replicas["odd"] == (
        "`batch_size` must divide by the strategy's 2 replicas. Received: batch_size=15"
    )
    assert two_replicas["jit"].startswith("`jit_compile` must be False or 'auto'")
    assert two_replicas["outside"].startswith("`build_model` must make the model when it is called")


def test_one_device_is_one_replica():
    assert get_strategy("one-device").num_replicas_in_sync == 1


def test_mirrored_takes_every_device_there_is():
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    assert get_strategy("mirrored").num_replicas_in_sync == len(devices)


@pytest.mark.parametrize("name", ["", "multi", None, 3])
def test_an_unknown_name(name):
    with pytest.raises(ValueError) as caught:
        get_strategy(name)
    assert str(caught.value) == (
        "`strategy` must be one of 'one-device', 'mirrored', 'multi-worker', "
        "'parameter-server', 'tpu'. "
        f"Received: strategy={name!r}"
    )


def test_a_strategy_is_a_file():
    kinds = [kind_of(name) for name in STRATEGIES]
    assert [kind.name for kind in kinds] == list(STRATEGIES)
    assert len(set(kinds)) == len(kinds) and all(issubclass(kind, Placement) for kind in kinds)
    assert STRATEGIES[0] == "one-device"  # the default
    of_one_machine = [kind.name for kind in kinds if kind.of_one_machine]
    assert of_one_machine == ["one-device", "mirrored", "tpu"]


@pytest.mark.parametrize("strategy", [
    "one-device",
    tf.distribute.OneDeviceStrategy("CPU:0"),
    tf.distribute.MirroredStrategy(["CPU:0"]),  # of one replica: Keras is right by itself
], ids=["by name", "one-device", "mirrored"])  # fmt: skip
def test_one_replica_is_one_device(strategy):
    placement = place(strategy)
    assert type(placement) is OneDevice
    assert (placement.replicas, placement.is_chief, placement.gather(7)) == (1, True, [7])


def test_what_a_strategy_is_for():
    class Three(tf.distribute.Strategy):
        num_replicas_in_sync = 3

        def __init__(self):
            pass

    assert kind_for(Three()) is Mirrored
    assert kind_for("multi-worker") is Workers
    assert issubclass(Workers, Mirrored)


def test_a_process_begins_with_the_strategy_s_name():
    assert kind_of("mirrored").start_process(1.0) == "mirrored"
