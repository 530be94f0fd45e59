"""Training an image classifier, and its evaluation."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from keras_attn.training import checkpoint
from keras_attn.training.callbacks import BEST_FILE, Progress, StopAtNaN
from keras_attn.training.checks import (
    check_arguments,
    check_asynchronous,
    check_finite,
    check_model,
    check_replicas,
)
from keras_attn.training.image_dataset import ImageDataset
from keras_attn.training.optimizers import DEFAULTS, check_optimizer, make_optimizer
from keras_attn.training.runs import TrainResult, describe_run, save_run
from keras_attn.training.strategy import Placement, place

if TYPE_CHECKING:
    import tensorflow as tf


def train(
    build_model: Callable[[], keras.Model],
    dataset: ImageDataset,
    out: str | os.PathLike[str],
    *,
    epochs: int,
    batch_size: int = 128,
    optimizer: str = "sgd",
    learning_rate: float | None = None,
    schedule: str = "cosine",
    milestones: Sequence[float] = (0.5, 0.75),
    warmup: float = 0.1,
    weight_decay: float | None = None,
    decay_all: bool = False,
    clip_norm: float | None = None,
    ema: float | None = None,
    accumulation_steps: int = 1,
    learning_rate_factors: Mapping[str, float] | None = None,
    weight_decay_factors: Mapping[str, float] | None = None,
    label_smoothing: float = 0.0,
    augment: Sequence[str] = ("crop",),
    mixed_precision: str | None = None,
    synchronized: bool = False,
    strategy: "str | tf.distribute.Strategy" = "one-device",
    jit_compile: bool | Literal["auto"] = "auto",
    steps_per_execution: int = 1,
    evaluate_every: int = 1,
    keep_best: bool = False,
    resume: bool = True,
    tensorboard: bool = False,
    deterministic: bool = False,
    seed: int = 0,
    verbose: int | Literal["auto"] = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainResult:
    """Trains a classifier and writes it, its history and a record of the run into a folder.

    The loss is cross-entropy. What is kept is the last epoch's model: none is chosen by its
    accuracy on the held-out images. Seeds Python's, NumPy's and Keras's generators with `seed`.

    A training that was stopped, at any moment, goes on when it is called again with the same
    arguments, and ends with the weights that it would have had: after each epoch its whole state
    is written to `unfinished` in the run's folder, which is removed at the end. The state of
    `callbacks` of yours is not in it.

    Args:
        build_model: Makes a new `keras.Model`, from float32 images `(B, H, W, C)` with values
            0..255 to probabilities `(B, classes)`. Called once, inside the strategy's scope.
        dataset: What to train on; its test images are the validation data.
        out: The folder that `model.keras`, `history.csv` and `run.json` go to, once the training
            has ended well. An earlier run's files in it are replaced then, and not before. With
            several workers, all of them must reach it; the first writes.
        epochs: Passes over the training images.
        batch_size: Images in a batch, over all replicas together.
        optimizer: `"sgd"` (Nesterov momentum 0.9) or `"adamw"`.
        learning_rate: The peak. `None` means 0.1 for SGD and 0.001 for AdamW.
        schedule: `"cosine"`, down to zero, or `"step"`, a tenth at each of `milestones`.
        milestones: For `"step"`: the shares of all steps after which the rate drops, ascending.
        warmup: The share of all steps in which the learning rate rises: 0 <= warmup < 1.
        weight_decay: Decoupled. `None` means 0.001 for SGD and 0.05 for AdamW.
        decay_all: Whether the decay is for biases and BatchNormalization, too.
        clip_norm: Bound of the norm of the whole gradient; `None` for none.
        ema: Momentum of the moving average of the weights with which the network is evaluated
            and which are kept, such as 0.999; `None` keeps the weights themselves.
        accumulation_steps: Of how many batches an update takes the mean gradient. In each pass,
            what doesn't fill the last update is left out.
        learning_rate_factors: For some layers, what the learning rate is multiplied by: a pattern
            of layer names such as `"stage1_*"` -> a factor. The first pattern that fits counts.
        weight_decay_factors: The same of the weight decay.
        label_smoothing: The share of a training label that is spread over all classes:
            0 <= label_smoothing < 1. The validation's labels stay as they are.
        augment: Names of augmentations, see `augment.py`; `()` for none.
        mixed_precision: `"float16"` (with loss scaling), `"bfloat16"` or `None`.
        synchronized: Whether BatchNormalization takes its statistics over all replicas. Else each
            replica's are of its own images.
        strategy: A name, see `get_strategy`, or a strategy. `"multi-worker"` must be made before
            TensorFlow does anything else: call `get_strategy` first, and give its result.
        jit_compile: As in `keras.Model.compile`; `True` is for one replica only.
        steps_per_execution: How many batches TensorFlow trains on in one call.
        evaluate_every: After how many epochs each the held-out images are evaluated. They are
            at the end in any case.
        keep_best: Whether to write `best.keras`, too: the network after the epoch whose accuracy
            on the held-out images was the highest, the first of equals. That accuracy is then no
            measure of it on new images: the choice saw the held-out ones.
        resume: Whether to go on with an unfinished training in `out`. `False` discards it.
        tensorboard: Whether to write logs for TensorBoard, into `tensorboard` in the run's folder.
        deterministic: Whether TensorFlow must give the same bits in each run, which is slower.
        seed: Seeds the weights, the order of the images and the augmentation.
        verbose: 0 silent, 1 Keras's progress bar, 2 a line for each epoch; `"auto"` is 1 on a
            terminal and 2 elsewhere. Only the first worker prints.
        callbacks: Keras callbacks to run as well.

    Returns:
        A `TrainResult`.

    Raises:
        ValueError: If an argument is wrong, the model doesn't fit the data, or `out` holds
            another unfinished training.
        FloatingPointError: If the loss or a weight becomes NaN or infinite. The state of the last
            good epoch stays.
        RuntimeError: If another worker stopped.
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
        "schedule": schedule,
        "milestones": milestones,
        "warmup": warmup,
        "weight_decay": weight_decay,
        "decay_all": decay_all,
        "clip_norm": clip_norm,
        "ema": ema,
        "accumulation_steps": accumulation_steps,
        "learning_rate_factors": dict(learning_rate_factors or {}),
        "weight_decay_factors": dict(weight_decay_factors or {}),
        "label_smoothing": label_smoothing,
        "augment": augment,
        "mixed_precision": mixed_precision,
        "synchronized": synchronized,
        "strategy": strategy if isinstance(strategy, str) else type(strategy).__name__,
        "jit_compile": jit_compile,
        "steps_per_execution": steps_per_execution,
        "evaluate_every": evaluate_every,
        "keep_best": keep_best,
        "deterministic": deterministic,
        "seed": seed,
    }
    check_arguments(arguments, dataset, out, verbose)
    placement = place(strategy)
    check_replicas(placement.replicas, batch_size, jit_compile)
    if placement.is_asynchronous:
        check_asynchronous(arguments)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)  # fails now rather than after the training

    keras.utils.set_random_seed(seed)
    if deterministic:
        placement.make_deterministic()
    at_once = np.lcm(accumulation_steps, steps_per_execution)
    steps_per_epoch = int(dataset.train_size // batch_size // at_once * at_once)
    if not steps_per_epoch:
        raise ValueError(
            "`accumulation_steps` and `steps_per_execution` must not ask for more than the "
            f"{dataset.train_size // batch_size} batches of a pass. Received: "
            f"accumulation_steps={accumulation_steps}, steps_per_execution={steps_per_execution}"
        )
    with placement.scope(), _dtype_policy(mixed_precision):
        network = build_model()
    check_model(network, dataset)
    placement.check_scope(network)
    with placement.scope(), _synchronized(network, synchronized):
        model = placement.model_to_fit(network)
        model.compile(
            make_optimizer(
                optimizer,
                network,
                steps=epochs * steps_per_epoch // accumulation_steps,
                learning_rate=learning_rate,
                schedule=schedule,
                milestones=milestones,
                warmup=warmup,
                weight_decay=weight_decay,
                decay_all=decay_all,
                clip_norm=clip_norm,
                ema=ema,
                accumulation_steps=accumulation_steps,
                learning_rate_factors=learning_rate_factors,
                weight_decay_factors=weight_decay_factors,
                scale_loss=mixed_precision == "float16",
            ),
            loss="categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
        )
        model.optimizer.build(model.trainable_variables)
        identity = {**arguments, "network": network.name, "data": dataset.fingerprint()}
        state = _state_to_go_on_from(folder, identity, resume, placement)
        if state:
            checkpoint.put_state(network, model.optimizer, state)
        placement.decorrelate(network)
        progress = Progress(
            folder if placement.is_chief else None, network, identity, state, keep_best=keep_best
        )
        all_callbacks = [*callbacks, progress, StopAtNaN()]
        if ema is not None:
            all_callbacks.append(keras.callbacks.SwapEMAWeights())
        if tensorboard and placement.is_chief:
            all_callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard"))
        start = time.perf_counter()
        with placement.explained_failures():
            placement.fit(
                model,
                placement.training_batches(
                    dataset,
                    batch_size,
                    steps_per_epoch=steps_per_epoch,
                    start_epoch=progress.epoch,
                    augment=augment,
                    label_smoothing=label_smoothing,
                    seed=seed,
                ),
                validation_data=placement.validation_batches(dataset, batch_size),
                validation_freq=evaluate_every,
                initial_epoch=progress.epoch,
                epochs=epochs,
                steps_per_epoch=steps_per_epoch,
                verbose=_verbosity(verbose) if placement.is_chief else 0,
                callbacks=all_callbacks,
            )
            metrics = _measure(model, dataset, batch_size, placement)
    seconds = progress.seconds_before + time.perf_counter() - start
    check_finite(network, metrics["loss"])
    record = describe_run(
        dataset,
        network,
        arguments=arguments,
        replicas=placement.replicas,
        seconds=seconds,
        metrics=metrics,
    )
    if keep_best:
        record["best"] = progress.best()
    paths = save_run(
        folder,
        network,
        history=progress.history,
        metadata=record,
        best=folder / checkpoint.FOLDER / BEST_FILE if keep_best else None,
        write=placement.is_chief,
    )
    if placement.is_chief:
        checkpoint.discard_state(folder)
    return TrainResult(model=network, history=progress.history, metrics=metrics, paths=paths)


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
    placement = Placement(getattr(model, "distribute_strategy", None))
    with placement.scope():
        return _measure(placement.model_to_fit(model), dataset, batch_size, placement)


def _measure(
    model: keras.Model, dataset: ImageDataset, batch_size: int, placement: Placement
) -> dict[str, float]:
    images = placement.test_images(dataset, batch_size)
    probabilities = np.asarray(placement.predict(model, images), "float64")  # (N, classes)
    labels = dataset.test.labels
    right = probabilities[np.arange(len(labels)), labels]  # (N,)
    return {
        "loss": float(-np.mean(np.log(np.maximum(right, 1e-7)))),  # clipped as Keras clips it
        "accuracy": float(np.mean(np.argmax(probabilities, axis=-1) == labels)),
    }


def _state_to_go_on_from(
    out: Path, identity: dict[str, Any], resume: bool, placement: Placement
) -> checkpoint.State | None:
    """The unfinished training's state, on all workers the same."""
    if not resume:
        if placement.is_chief:
            checkpoint.discard_state(out)
        placement.gather(0)  # no other worker looks before that
        return None
    state = checkpoint.load_state(out)
    epochs = placement.gather(state.epoch if state else 0)
    if len(set(epochs)) > 1:
        found = ", ".join(f"worker {i}: epoch {epoch}" for i, epoch in enumerate(epochs))
        raise ValueError(
            "`out` must be one folder that all workers reach: they find checkpoints of different "
            f"epochs there ({found}). Received: out={os.fspath(out)!r}"
        )
    if state:
        checkpoint.check_arguments_agree(out, state, identity)
    return state


@contextlib.contextmanager
def _dtype_policy(mixed_precision: str | None) -> Iterator[None]:
    before = keras.config.dtype_policy()
    if mixed_precision is not None:
        keras.config.set_dtype_policy(f"mixed_{mixed_precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def _synchronized(network: keras.Model, synchronized: bool) -> Iterator[None]:
    """Synchronizes all BatchNormalization while it trains; the saved network is as it was made."""
    changed = []
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and synchronized:
            if not layer.synchronized:
                changed.append(layer)
            layer.synchronized = True
    try:
        yield
    finally:
        for layer in changed:
            layer.synchronized = False


def _verbosity(verbose: int | str) -> int:
    if verbose == "auto":
        return 1 if sys.stdout.isatty() else 2
    return int(verbose)
