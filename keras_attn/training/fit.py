"""Training an image classifier, and its evaluation."""

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_attn.training.checks import (
    check_arguments,
    check_model,
    check_replicas,
    check_scope,
)
from keras_attn.training.image_dataset import ImageDataset
from keras_attn.training.optimizers import DEFAULTS, check_optimizer, make_optimizer
from keras_attn.training.pipeline import pipeline
from keras_attn.training.runs import TrainResult, describe_run, save_run
from keras_attn.training.strategy import evaluation_batch_size, get_strategy


def train(
    build_model: Callable[[], keras.Model],
    dataset: ImageDataset,
    out: str | os.PathLike[str],
    *,
    epochs: int,
    batch_size: int = 128,
    optimizer: str = "sgd",
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    warmup: float = 0.1,
    label_smoothing: float = 0.0,
    augment: str = "crop",
    strategy: str = "one-device",
    jit_compile: bool | Literal["auto"] = "auto",
    evaluate_every: int = 1,
    seed: int = 0,
    verbose: int | Literal["auto"] = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainResult:
    """Trains a classifier and writes it, its history and a record of the run into a folder.

    The loss is cross-entropy; the learning rate rises linearly, then falls to zero as a
    cosine. What is kept is the last epoch's model: none is chosen by its accuracy on the
    held-out images. Seeds Python's, NumPy's and Keras's generators with `seed`.

    Args:
        build_model: Makes a new `keras.Model`, from float32 images `(B, H, W, C)` with values
            0..255 to probabilities `(B, classes)`. Called once, inside the strategy's scope.
        dataset: What to train on; its test images are the validation data.
        out: The folder that `model.keras`, `history.csv` and `run.json` go to, once the training
            has ended well. An earlier run's files in it are replaced then, and not before.
        epochs: Passes over the training images.
        batch_size: Images in a batch, over all replicas together.
        optimizer: `"sgd"` (Nesterov momentum 0.9) or `"adamw"`.
        learning_rate: The peak. `None` means 0.1 for SGD and 0.001 for AdamW.
        weight_decay: Decoupled, and not for biases and BatchNormalization. `None` means 0.001
            for SGD and 0.05 for AdamW.
        warmup: The share of all steps in which the learning rate rises: 0 <= warmup < 1.
        label_smoothing: The share of a training label that is spread over all classes:
            0 <= label_smoothing < 1. The validation's labels stay as they are.
        augment: `"none"`, `"crop"` or `"crop_flip"`, see `pipeline`.
        strategy: `"one-device"` or `"mirrored"`, see `get_strategy`.
        jit_compile: As in `keras.Model.compile`; `True` is for one replica only.
        evaluate_every: After how many epochs each the held-out images are evaluated. They are
            at the end in any case.
        seed: Seeds the weights, the order of the images and the augmentation.
        verbose: 0 silent, 1 Keras's progress bar, 2 a line for each epoch; `"auto"` is 1 on a
            terminal and 2 elsewhere.
        callbacks: Keras callbacks to run as well.

    Returns:
        A `TrainResult`.

    Raises:
        ValueError: If an argument is wrong or the model doesn't fit the data.
        FloatingPointError: If the loss becomes NaN or infinite. Nothing is written then.
        OSError: If the files can't be written.

    Example:
        >>> data = load_dataset("digits")
        >>> result = train(lambda: CIFARResNet(attention="se"), data, "runs/digits", epochs=4)
        >>> sorted(result.metrics)
        ['accuracy', 'loss']
    """
    check_optimizer(optimizer)
    if learning_rate is None:
        learning_rate = DEFAULTS[optimizer].learning_rate
    if weight_decay is None:
        weight_decay = DEFAULTS[optimizer].weight_decay
    arguments = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "warmup": warmup,
        "label_smoothing": label_smoothing,
        "augment": augment,
        "strategy": strategy,
        "jit_compile": jit_compile,
        "evaluate_every": evaluate_every,
        "seed": seed,
    }
    check_arguments(arguments, dataset, out, verbose)
    scope = get_strategy(strategy)
    replicas = scope.num_replicas_in_sync
    check_replicas(replicas, batch_size, jit_compile)
    Path(out).mkdir(parents=True, exist_ok=True)  # fails now rather than after the training

    keras.utils.set_random_seed(seed)
    steps_per_epoch = dataset.train_size // batch_size
    steps = epochs * steps_per_epoch
    with scope.scope():
        model = build_model()
    check_model(model, dataset)
    check_scope(model, replicas)
    with scope.scope():
        model.compile(
            make_optimizer(
                optimizer,
                model,
                steps=steps,
                warmup_steps=min(round(warmup * steps), steps - 1),
                learning_rate=learning_rate,
                weight_decay=weight_decay,
            ),
            loss="categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=jit_compile,
        )
    soft_labels = _soft_labels(dataset.num_classes, label_smoothing)
    hard_labels = _soft_labels(dataset.num_classes, 0.0)
    batches = pipeline(dataset.train, batch_size, training=True, augment=augment, seed=seed)
    held_out = pipeline(
        dataset.test,
        evaluation_batch_size(dataset.test_size, batch_size, replicas),
        training=False,
    )
    start = time.perf_counter()
    history = model.fit(
        batches.map(soft_labels).prefetch(tf.data.AUTOTUNE),
        validation_data=held_out.map(hard_labels),
        epochs=epochs,
        validation_freq=evaluate_every,
        steps_per_epoch=steps_per_epoch,
        shuffle=False,  # `pipeline` shuffles; Keras warns of its own default, True
        verbose=_verbosity(verbose),
        callbacks=[*callbacks, _StopAtNaN()],
    )
    seconds = time.perf_counter() - start
    metrics = evaluate(model, dataset, batch_size=batch_size)
    _check_finite(model, metrics["loss"])
    logs = {
        name: _by_epoch(values, evaluate_every if name.startswith("val_") else 1, epochs)
        for name, values in history.history.items()
    }
    record = describe_run(
        dataset, model, arguments=arguments, replicas=replicas, seconds=seconds, metrics=metrics
    )
    paths = save_run(out, model, history=logs, metadata=record)
    return TrainResult(model=model, history=logs, metrics=metrics, paths=paths)


def evaluate(
    model: keras.Model, dataset: ImageDataset, *, batch_size: int = 128
) -> dict[str, float]:
    """Measures a classifier on the held-out images of a data set.

    Args:
        model: Gives probabilities `(B, classes)`. It need not be compiled.
        dataset: Where the images come from.
        batch_size: Images in a batch. It doesn't change the result.

    Returns:
        `loss`, the mean cross-entropy in nats, and `accuracy`, the share of images whose most
        probable class is the right one.

    Raises:
        ValueError: If the model doesn't fit the data or `batch_size` is wrong.

    Example:
        >>> sorted(evaluate(model, load_dataset("digits")))
        ['accuracy', 'loss']
    """
    check_model(model, dataset)
    replicas = model.distribute_strategy.num_replicas_in_sync
    batch_size = evaluation_batch_size(dataset.test_size, batch_size, replicas)
    batches = pipeline(dataset.test, batch_size, training=False)
    probabilities = model.predict(batches.map(lambda images, _: images), verbose=0)
    labels = np.concatenate([labels.numpy() for _, labels in batches])
    right = probabilities[np.arange(len(labels)), labels].astype("float64")  # (N,)
    return {
        "loss": float(-np.mean(np.log(np.maximum(right, 1e-7)))),  # clipped as Keras clips it
        "accuracy": float(np.mean(np.argmax(probabilities, axis=-1) == labels)),
    }


class _StopAtNaN(keras.callbacks.Callback):
    """Ends the training with an error at the first loss that is not a number."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            where = f"in epoch {self.epoch + 1}, batch {batch + 1}"
            raise FloatingPointError(_not_finite("loss", loss, where))


def _check_finite(model: keras.Model, loss: float) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(_not_finite("held-out loss", loss, "at the end"))
    for weight in model.weights:  # a ReLU may turn NaN into 0, and the loss not show it
        values = keras.ops.convert_to_numpy(weight)
        if not np.isfinite(values).all():
            broken = values[~np.isfinite(values)][0]
            raise FloatingPointError(_not_finite(f"weight {weight.path}", broken, "at the end"))


def _not_finite(what: str, value: float, where: str) -> str:
    return (
        f"The {what} became {value} {where}. Nothing was written. "
        "A lower `learning_rate` or a longer `warmup` may help."
    )


def _soft_labels(num_classes: int, smoothing: float) -> Callable[..., Any]:
    def soft_labels(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        one_hot = tf.one_hot(labels, num_classes)  # (B, classes)
        return images, one_hot * (1.0 - smoothing) + smoothing / num_classes

    return soft_labels


def _by_epoch(values: Sequence[float], every: int, epochs: int) -> list[float | None]:
    """A value for each epoch, `None` where none was taken."""
    taken = iter(values)
    return [None if epoch % every else float(next(taken)) for epoch in range(1, epochs + 1)]


def _verbosity(verbose: int | str) -> int:
    if verbose == "auto":
        return 1 if sys.stdout.isatty() else 2
    return int(verbose)
