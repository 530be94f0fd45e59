"""Training an image classifier."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.callbacks import Progress, StopAtNaN
from keras_attn.training.checks import (
    check_arguments,
    check_asynchronous,
    check_finite,
    check_model,
    check_replicas,
)
from keras_attn.training.evaluation import LOSS, METRICS
from keras_attn.training.optimizers import DEFAULTS, check_optimizer, make_optimizer
from keras_attn.training.placement.strategy import Placement, place
from keras_attn.training.run_folder import checkpoint
from keras_attn.training.run_folder.architecture import architecture, name_of
from keras_attn.training.run_folder.earlier import check_names, finished_run, state_to_go_on_from
from keras_attn.training.run_folder.files import BEST_FILE
from keras_attn.training.run_folder.record import describe_run
from keras_attn.training.run_folder.runs import TrainResult, save_run

if TYPE_CHECKING:
    import tensorflow as tf

OPTIMIZER_OPTIONS = (
    "learning_rate",
    "schedule",
    "milestones",
    "warmup",
    "weight_decay",
    "decay_all",
    "clip_norm",
    "ema",
    "accumulation_steps",
    "learning_rate_factors",
    "weight_decay_factors",
)


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
    overwrite: bool = False,
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

    Of a training that has ended, with the same arguments, network and data, the same call gives
    the result again and trains nothing. One folder has one training at a time.

    Args:
        build_model: Makes a new `keras.Model`, from float32 images `(B, H, W, C)` with values
            0..255 to probabilities `(B, classes)`. Called once, inside the strategy's scope.
        dataset: What to train on; its test images are the validation data.
        out: The folder that `model.keras`, `history.csv` and `run.json` go to, once the training
            has ended well. With several workers, all of them must reach it; the first writes.
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
        overwrite: Whether to replace another finished run in `out`, or to train the same one again.
            Its files are replaced when the training has ended well, and not before.
        tensorboard: Whether to write logs for TensorBoard, into `tensorboard` in the run's folder.
        deterministic: Whether TensorFlow must give the same bits in each run, which is slower.
        seed: Seeds the weights, the order of the images and the augmentation.
        verbose: 0 silent, 1 Keras's progress bar, 2 a line for each epoch; `"auto"` is 1 on a
            terminal and 2 elsewhere. Only the first worker prints.
        callbacks: Keras callbacks to run as well.

    Returns:
        A `TrainResult`.

    Raises:
        ValueError: If an argument is wrong, the model doesn't fit the data, `out` holds another
            training, finished or not, or another process trains there.
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
    if not isinstance(overwrite, bool):
        raise ValueError(f"`overwrite` must be a bool. Received: overwrite={overwrite!r}")
    placement = place(strategy)
    check_replicas(placement.replicas, batch_size, jit_compile)
    if placement.is_asynchronous:
        check_asynchronous(arguments)
    folder = Path(out)
    with placement.owning(folder):  # fails now rather than after the training
        check_names(folder)
        return _train(
            build_model,
            dataset,
            folder,
            arguments,
            placement,
            resume=resume,
            overwrite=overwrite,
            tensorboard=tensorboard,
            verbose=verbose,
            callbacks=callbacks,
        )


def _train(
    build_model: Callable[[], keras.Model],
    dataset: ImageDataset,
    folder: Path,
    arguments: dict[str, Any],
    placement: Placement,
    *,
    resume: bool,
    overwrite: bool,
    tensorboard: bool,
    verbose: int | str,
    callbacks: Sequence[keras.callbacks.Callback],
) -> TrainResult:
    """`train` with checked arguments, in a folder that is this process's."""
    epochs, batch_size, ema = (arguments[name] for name in ("epochs", "batch_size", "ema"))
    keras.utils.set_random_seed(arguments["seed"])
    if arguments["deterministic"]:
        placement.make_deterministic()
    steps_per_epoch = _steps_per_epoch(dataset, arguments)
    with placement.scope(), _dtype_policy(arguments["mixed_precision"]):
        network = build_model()
    check_model(network, dataset)
    placement.check_scope(network)
    identity = {
        **arguments,
        "network": name_of(network.name),
        "architecture": architecture(network),
        "data": dataset.fingerprint(),
    }
    if not overwrite and (result := finished_run(folder, identity, placement)):
        return result
    with placement.scope(), _synchronized(network, arguments["synchronized"]):
        model = placement.model_to_fit(network)
        model.compile(
            make_optimizer(
                arguments["optimizer"],
                network,
                steps=epochs * steps_per_epoch // arguments["accumulation_steps"],
                scale_loss=arguments["mixed_precision"] == "float16",
                **{name: arguments[name] for name in OPTIMIZER_OPTIONS},
            ),
            loss=LOSS,
            metrics=list(METRICS),
            jit_compile=arguments["jit_compile"],
            steps_per_execution=arguments["steps_per_execution"],
        )
        model.optimizer.build(model.trainable_variables)
        state = state_to_go_on_from(folder, identity, resume, placement)
        if state:
            checkpoint.put_state(network, model.optimizer, state)
        placement.decorrelate(network)
        progress = Progress(
            folder if placement.is_chief else None,
            network,
            identity,
            state,
            keep_best=arguments["keep_best"],
        )
        merge = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: placement.merge_statistics(network)
        )
        all_callbacks = [*callbacks, merge, progress, StopAtNaN()]
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
                    **{name: arguments[name] for name in ("augment", "label_smoothing", "seed")},
                ),
                validation_data=placement.validation_batches(dataset, batch_size),
                validation_freq=arguments["evaluate_every"],
                initial_epoch=progress.epoch,
                epochs=epochs,
                steps_per_epoch=steps_per_epoch,
                verbose=_verbosity(verbose) if placement.is_chief else 0,
                callbacks=all_callbacks,
            )
            metrics = placement.evaluate(model, dataset, batch_size)
    seconds = progress.seconds_before + time.perf_counter() - start
    check_finite(network, metrics["loss"])
    record = describe_run(
        dataset,
        network,
        arguments=arguments,
        architecture=identity["architecture"],
        fingerprint=identity["data"],
        replicas=placement.replicas,
        seconds=seconds,
        metrics=metrics,
    )
    if arguments["keep_best"]:
        record["best"] = progress.best()
    paths = save_run(
        folder,
        network,
        history=progress.history,
        metadata=record,
        best=folder / checkpoint.FOLDER / BEST_FILE if arguments["keep_best"] else None,
        write=placement.is_chief,
    )
    if placement.is_chief:
        checkpoint.discard_state(folder)
    return TrainResult(model=network, history=progress.history, metrics=metrics, paths=paths)


def _steps_per_epoch(dataset: ImageDataset, arguments: Mapping[str, Any]) -> int:
    """How many batches of a pass fill whole updates and executions."""
    accumulated, executed = arguments["accumulation_steps"], arguments["steps_per_execution"]
    batches, at_once = dataset.train_size // arguments["batch_size"], np.lcm(accumulated, executed)
    if batches < at_once:
        raise ValueError(
            "`accumulation_steps` and `steps_per_execution` must not ask for more than the "
            f"{batches} batches of a pass. Received: accumulation_steps={accumulated}, "
            f"steps_per_execution={executed}"
        )
    return int(batches // at_once * at_once)


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
