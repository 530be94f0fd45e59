"""Trains small networks under one strategy and saves their weights: run by the tests, in processes.

    python tests/programs/strategy_matrix.py one|mirrored|workers OUT.npz [CASE ...]

`one` is plain Keras on one device, the reference. `mirrored` is two logical CPUs. `workers` is one
of the processes that TF_CONFIG names. Data, seeds and global batches are the same everywhere.
"""

# ruff: noqa: E402 - the runtime is configured before Keras starts it
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf

MODE, OUT, *ONLY = sys.argv[1:]
if MODE == "mirrored":
    [cpu] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
if MODE == "workers":  # before anything else starts the runtime
    STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()

import keras
import numpy as np

from keras_attn.layers import SqueezeExcite
from keras_attn.training import get_strategy
from keras_attn.training.layerwise import LayerwiseSGD
from keras_attn.training.placement.distributed_model import DistributedModel
from keras_attn.training.placement.replica_state import decorrelate

if MODE != "workers":
    STRATEGY = get_strategy("mirrored" if MODE == "mirrored" else "one-device")

BATCH, SIDE, CLASSES = 16, 6, 3
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(64, SIDE, SIDE, 2)).astype("float32")
LABELS = keras.utils.to_categorical(RNG.integers(0, CLASSES, 64), CLASSES)


def network(dropout=0.0):
    inputs = keras.Input((SIDE, SIDE, 2))
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(synchronized=MODE != "one", momentum=0.8)(x)
    x = keras.layers.ReLU()(x)
    x = SqueezeExcite(2)(x)
    x = keras.layers.Dropout(dropout)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(CLASSES, activation="softmax", dtype="float32")(x)
    return keras.Model(inputs, outputs)


class OwnLoss(keras.Model):
    """Gives features, too, whose size is a part of its loss."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        each = keras.losses.categorical_crossentropy(y, y_pred["probabilities"])
        return keras.ops.mean(each + keras.ops.sum(y_pred["features"] ** 2, axis=-1))

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, y, y_pred["probabilities"], sample_weight)


def with_own_loss(network):
    outputs = {"features": network.layers[-2].output, "probabilities": network.output}
    return OwnLoss(network.input, outputs)


def sgd(**options):
    return keras.optimizers.SGD(0.3, momentum=0.9, **options)


# name: optimizer, how many images, arguments of `compile`
CASES = {
    "sgd": (sgd, 64, {}),
    "adamw": (lambda: keras.optimizers.AdamW(0.01, weight_decay=0.05), 64, {}),
    "schedule": (lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.CosineDecay(0.3, 8)), 64, {}),
    "clipnorm": (lambda: sgd(clipnorm=0.02), 64, {}),
    "global_clipnorm": (lambda: sgd(global_clipnorm=0.05), 64, {}),
    "clipvalue": (lambda: sgd(clipvalue=0.01), 64, {}),
    "ema": (lambda: sgd(use_ema=True, ema_momentum=0.7), 64, {}),
    "ema_overwrite": (lambda: sgd(use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=4),
                      64, {}),
    "accumulation": (lambda: sgd(gradient_accumulation_steps=2), 64, {}),
    "accumulation_clip": (
        lambda: sgd(gradient_accumulation_steps=4, global_clipnorm=0.05), 64, {}),
    "accumulation_schedule": (lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.CosineDecay(0.3, 4), gradient_accumulation_steps=2), 64, {}),
    "layerwise": (lambda: LayerwiseSGD(
        0.3, momentum=0.9, weight_decay=0.1, learning_rate_factors={"conv/kernel": 0.1},
        weight_decay_factors={"conv/kernel": 5.0}), 64, {}),
    "steps_per_execution": (sgd, 64, {"steps_per_execution": 2}),
    "ragged": (sgd, 57, {}),
    "own_loss": (sgd, 57, {"loss": None}),
    "float16": (sgd, 64, {}),
    "float16_clip": (lambda: sgd(global_clipnorm=0.05), 64, {}),
}  # fmt: skip


def train(name):
    optimizer, size, options = CASES[name]
    keras.config.set_dtype_policy("mixed_float16" if "float16" in name else "float32")
    keras.utils.set_random_seed(1)
    weights = np.ones(size, "float32")
    if "float16" in name:  # the second batch's second half: gradients overflow on replica 1 alone
        weights[BATCH + BATCH // 2 : 2 * BATCH] = 1e4
    with STRATEGY.scope():
        model = network()
        if name == "own_loss":
            model = with_own_loss(model)
        if MODE != "one":
            model = DistributedModel(model)
        optimizer = optimizer()
        if "float16" in name and MODE == "one":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        options = {"loss": "categorical_crossentropy", **options}
        model.compile(optimizer, metrics=["accuracy"], **options)
    history = model.fit(batches(IMAGES[:size], LABELS[:size], weights), epochs=2, verbose=0).history
    scores = model.evaluate(batches(IMAGES[:61], LABELS[:61]), verbose=0)
    # 49 images: the last batch has one, and leaves a replica without
    predicted = model.predict(batches(IMAGES[:49]), verbose=0)
    if isinstance(predicted, dict):
        predicted = predicted["probabilities"]
    few = model.evaluate(batches(IMAGES[:49], LABELS[:49]), verbose=0)
    results = {f"weight{i}": w for i, w in enumerate(model.get_weights())}
    results |= {key: np.array(value) for key, value in history.items()}
    results |= {"scores": np.array(scores), "few": np.array(few), "predicted": predicted}
    if "float16" in name:
        results["scale"] = np.array(model.optimizer.dynamic_scale)
    keras.config.set_dtype_policy("float32")
    return results


def batches(*arrays):
    dataset = tf.data.Dataset.from_tensor_slices(arrays if arrays[1:] else arrays[0]).batch(BATCH)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


def masks():
    """What Dropout draws on each replica, in two steps; and that a network with it trains."""
    with STRATEGY.scope():
        model = DistributedModel(network(dropout=0.5))
        model.compile("sgd", "categorical_crossentropy")
        dropper = keras.Sequential([keras.Input((4096,)), keras.layers.Dropout(0.5, seed=3)])
    decorrelate(model)
    history = model.fit(batches(IMAGES, LABELS), epochs=2, verbose=0).history
    decorrelate(dropper)

    @tf.function
    def draw():
        return STRATEGY.run(dropper, args=(tf.ones((1, 4096)),), kwargs={"training": True})

    drawn = [STRATEGY.gather(draw(), axis=0).numpy() for _ in range(2)]
    return {"masks": np.stack(drawn), "loss": np.array(history["loss"])}  # (step, replica, 4096)


if __name__ == "__main__":
    names = ONLY or list(CASES)
    results = {f"{name}/{key}": value for name in names for key, value in train(name).items()}
    if MODE != "one" and not ONLY:
        results |= {f"dropout/{key}": value for key, value in masks().items()}
    suffix = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {}).get("index", 0)
    np.savez(OUT.format(suffix), **results)
