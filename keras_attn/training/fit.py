"""Training an image classifier."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_attn.data.batches.ahead import InputClock
from keras_attn.data.given import Images, as_dataset
from keras_attn.data.image_dataset import ImageDataset
from keras_attn.training.callbacks import InputProfile, Progress, StopAtNaN
from keras_attn.training.checks import (
    check_call,
    check_finite,
    check_model,
    has_own_loss,
    warn_of_raw_pixels,
)
from keras_attn.training.config import TrainingConfig
from keras_attn.training.evaluation import LOSS, metrics
from keras_attn.training.optimizers import make_optimizer
from keras_attn.training.options import takes_options
from keras_attn.training.placement.base import Placement
from keras_attn.training.placement.strategy import place
from keras_attn.training.run_folder import checkpoint
from keras_attn.training.run_folder.architecture import architecture, name_of
from keras_attn.training.run_folder.earlier import check_names, finished_run, state_to_go_on_from
from keras_attn.training.run_folder.record import describe_run
from keras_attn.training.run_folder.runs import TrainResult, save_run
from keras_attn.training.settings import as_weights_ask, dtype_policy, synchronized


@takes_options(TrainingConfig)
def train(
    build_model: Callable[[], keras.Model],
    dataset: Images,
    out: str | os.PathLike[str],
    config: TrainingConfig | None = None,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    resume: bool = True,
    overwrite: bool = False,
    **options: Any,
) -> TrainResult:
    """Trains a classifier and writes it, its history and a record of the run into a folder.

    The loss is cross-entropy, or the model's own where it has one, as those that choose where to
    look. What is kept is the last epoch's model: none is chosen by its
    accuracy on the held-out images. Seeds Python's, NumPy's and Keras's generators with `seed`.

    A training that was stopped, at any moment, goes on when it is called again with the same
    options, and ends with the weights that it would have had: after each epoch its whole state
    is written to `unfinished` in the run's folder, which is removed at the end. The state of
    `callbacks` of yours is not in it.

    Of a training that has ended, with the same options, network and data, the same call gives
    the result again and trains nothing. One folder has one training at a time.

    Args:
        build_model: Function that makes a new `keras.Model`, from float32 images `(B, H, W, C)`
            with values 0..255 to probabilities `(B, classes)`, or to a dict that has them as
            `"probabilities"` where the model has a loss of its own. Called once, inside the
            strategy's scope.
        dataset: Images to train on; its test images are the validation data. Or a pair, the
            held-out images second: of `tf.data.Dataset`s as `image_dataset_from_directory` gives
            them, or of `(images, labels)` as `keras.datasets` does. See `ImageDataset.from_tf_data`
            and `from_arrays`.
        out: Folder that `model.keras`, `history.csv` and `run.json` go to, once the training has
            ended well. With several workers, all of them must reach it; the first writes.
        config: Options of the training. `None` means that they are all given by name.
        callbacks: Keras callbacks to run as well.
        resume: Whether to go on with an unfinished training in `out`. `False` discards it.
        overwrite: Whether to replace another finished run in `out`, or to train the same one again.
            Its files are replaced when the training has ended well, and not before.
        **options: Options of `TrainingConfig` by name, which go before those of `config`. They
            are listed below; `epochs` is needed.

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
    config = TrainingConfig.of(config, options)
    dataset = as_dataset(dataset)
    check_call(out, overwrite=overwrite)
    config = config.for_images(dataset.train_size)
    steps_per_epoch = config.steps_per_epoch(dataset.train_size)
    placement = place(config.strategy)
    placement.check(config)
    folder = Path(out)
    with placement.owning(folder):  # fails now rather than after the training
        check_names(folder)
        network, dataset, identity = _make_network(build_model, dataset, config, placement)
        if not overwrite and (result := finished_run(folder, identity, placement)):
            return result
        with placement.scope(), synchronized(network, config.synchronized):
            model = placement.model_to_fit(network)
            _compile(model, network, config, steps_per_epoch)
            state = state_to_go_on_from(folder, identity, resume, placement)
            if state:
                checkpoint.put_state(network, model.optimizer, state)
            placement.decorrelate(network)
            writes_to = folder if placement.is_chief else None
            progress = Progress(
                writes_to,
                network,
                identity,
                state,
                keep_best=config.keep_best,
                patience=config.patience,
                describe=lambda progress: _record(
                    network, dataset, config, placement, progress, metrics={}
                ),
            )
            watching = [*callbacks, *_callbacks(network, config, placement, progress)]
            with placement.explained_failures():
                _fit(model, dataset, config, placement, progress, watching, steps_per_epoch)
                metrics = placement.evaluate(model, dataset, config.batch)
        check_finite(network, metrics["loss"])
        return _keep(folder, network, dataset, config, placement, progress, metrics)


def _make_network(
    build_model: Callable[[], keras.Model],
    dataset: ImageDataset,
    config: TrainingConfig,
    placement: Placement,
) -> tuple[keras.Model, ImageDataset, dict[str, Any]]:
    """A new network, the data as its weights ask, and what tells this training from others."""
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        placement.make_deterministic()
    with placement.scope(), dtype_policy(config.mixed_precision):
        network = build_model()
    check_model(network, dataset)
    warn_of_raw_pixels(network)
    placement.check_scope(network)
    dataset = as_weights_ask(dataset, network)
    return (
        network,
        dataset,
        {
            **config.record(),
            "network": name_of(network.name),
            "architecture": architecture(network),
            "data": dataset.fingerprint(),
        },
    )


def _compile(
    model: keras.Model, network: keras.Model, config: TrainingConfig, steps_per_epoch: int
) -> None:
    steps = config.epochs * steps_per_epoch // config.accumulation_steps
    model.compile(
        make_optimizer(config, network, steps=steps),
        loss=None if has_own_loss(network) else LOSS,
        metrics=metrics(),
        jit_compile=config.jit_compile,
        steps_per_execution=config.steps_per_execution,
    )
    model.optimizer.build(model.trainable_variables)


def _callbacks(
    network: keras.Model, config: TrainingConfig, placement: Placement, progress: Progress
) -> Iterator[keras.callbacks.Callback]:
    """What watches the training, beside the callbacks of the caller's."""
    yield keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: placement.merge_statistics(network)
    )
    yield progress
    yield StopAtNaN()
    if config.ema is not None:
        yield keras.callbacks.SwapEMAWeights()
    if config.tensorboard and progress.out is not None:
        yield keras.callbacks.TensorBoard(progress.out / "tensorboard")


def _fit(
    model: keras.Model,
    dataset: ImageDataset,
    config: TrainingConfig,
    placement: Placement,
    progress: Progress,
    callbacks: Sequence[keras.callbacks.Callback],
    steps_per_epoch: int,
) -> None:
    clock = None
    if config.profile and placement.is_chief:
        clock = InputClock()
        profile = InputProfile(clock, config.batch, steps_per_epoch)
        # Its number goes into the logs before others read them, its clock stops after them.
        callbacks = [profile.first(), *callbacks, profile]
    batches = placement.training_batches(
        dataset,
        config.batch,
        steps_per_epoch=steps_per_epoch,
        start_epoch=progress.epoch,
        augment=config.augment,
        label_smoothing=config.label_smoothing,
        repeats=config.repeats,
        seed=config.seed,
        clock=clock,
    )
    placement.fit(
        model,
        batches,
        augment=config.augment,
        validation_data=placement.validation_batches(dataset, config.batch),
        validation_freq=config.evaluate_every,
        initial_epoch=progress.epoch,
        epochs=progress.epoch if progress.is_over() else config.epochs,
        steps_per_epoch=steps_per_epoch,
        verbose=_verbosity(config.verbose) if placement.is_chief else 0,
        callbacks=callbacks,
    )


def _keep(
    folder: Path,
    network: keras.Model,
    dataset: ImageDataset,
    config: TrainingConfig,
    placement: Placement,
    progress: Progress,
    metrics: dict[str, float],
) -> TrainResult:
    """Writes the run that has ended, and removes the state that led to it."""
    record = _record(network, dataset, config, placement, progress, metrics)
    if config.keep_best:
        record["best"] = progress.best()
    if config.patience is not None:
        record["epochs"] = progress.epoch
    paths = save_run(
        folder,
        network,
        history=progress.history,
        metadata=record,
        best=checkpoint.best_file(folder) if config.keep_best else None,
        write=placement.is_chief,
    )
    if placement.is_chief:
        checkpoint.discard_state(folder)
    return TrainResult(model=network, history=progress.history, metrics=metrics, paths=paths)


def _record(
    network: keras.Model,
    dataset: ImageDataset,
    config: TrainingConfig,
    placement: Placement,
    progress: Progress,
    metrics: dict[str, float],
) -> dict[str, Any]:
    """What `run.json` holds of the training, as it stands."""
    return describe_run(
        dataset,
        network,
        arguments=config.record(),
        identity=progress.identity,
        replicas=placement.replicas,
        seconds=progress.seconds(),
        metrics=metrics,
    )


def _verbosity(verbose: int | str) -> int:
    if verbose == "auto":
        return 1 if sys.stdout.isatty() else 2
    return int(verbose)
