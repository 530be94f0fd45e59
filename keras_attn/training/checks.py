"""What `train` and `evaluate` ask of their arguments and of the model."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_attn.training.image_dataset import ImageDataset
from keras_attn.training.pipeline import check_augment, check_seed


def check_arguments(
    arguments: dict[str, Any], dataset: ImageDataset, out: str | os.PathLike[str], verbose: Any
) -> None:
    """Raises a ValueError that names the first wrong one of `train`'s arguments."""
    for name in ("epochs", "batch_size", "evaluate_every"):
        value = arguments[name]
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
    check_seed(arguments["seed"])
    if arguments["batch_size"] > dataset.train_size:
        raise ValueError(
            f"`batch_size` must not exceed the {dataset.train_size} training images. "
            f"Received: batch_size={arguments['batch_size']}"
        )
    rules: dict[str, tuple[str, Callable[[float], bool]]] = {
        "learning_rate": ("a positive number", lambda value: 0 < value < math.inf),
        "weight_decay": ("a number, 0 or more", lambda value: 0 <= value < math.inf),
        "warmup": ("a number from 0 to below 1", lambda value: 0 <= value < 1),
        "label_smoothing": ("a number from 0 to below 1", lambda value: 0 <= value < 1),
    }
    for name, (rule, holds) in rules.items():
        value = arguments[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not holds(value):
            raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    check_augment(arguments["augment"])
    if arguments["jit_compile"] not in (True, False, "auto"):
        raise ValueError(
            "`jit_compile` must be True, False or 'auto'. "
            f"Received: jit_compile={arguments['jit_compile']!r}"
        )
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"`verbose` must be 'auto', 0, 1 or 2. Received: verbose={verbose!r}")
    if Path(out).exists() and not Path(out).is_dir():
        raise ValueError(f"`out` must be a folder. Received: out={os.fspath(out)!r}, a file")


def check_replicas(replicas: int, batch_size: int, jit_compile: bool | str) -> None:
    """Raises a ValueError if the strategy's replicas can't share the batch."""
    if batch_size % replicas:
        raise ValueError(
            f"`batch_size` must divide by the strategy's {replicas} replicas. "
            f"Received: batch_size={batch_size}"
        )
    if jit_compile is True and replicas > 1:
        raise ValueError(
            "`jit_compile` must be False or 'auto' with several replicas: Keras can't compile "
            f"variables on several devices. Received: jit_compile=True, {replicas} replicas"
        )


def check_model(model: Any, dataset: ImageDataset) -> None:
    """Raises a ValueError unless the model classifies the data set's images."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"`build_model` must return a keras.Model. Received: {model!r}")
    output = getattr(model, "output_shape", None)
    if not isinstance(output, tuple) or len(output) != 2 or output[1] != dataset.num_classes:
        raise ValueError(
            f"The model must end in the probabilities of the {dataset.num_classes} classes of "
            f"{dataset.name!r}, an output (B, {dataset.num_classes}). Received: model "
            f"{model.name!r} with output shape {output}"
        )
    shape = model.input_shape
    if (
        not isinstance(shape, tuple)
        or len(shape) != 4
        or any(a not in (None, b) for a, b in zip(shape[1:], dataset.image_shape, strict=True))
    ):
        raise ValueError(
            f"The model must take the images of {dataset.name!r}, (B, H, W, C) with (H, W, C) = "
            f"{dataset.image_shape}. Received: model {model.name!r} with input shape {shape}"
        )
    activation = getattr(model.layers[-1], "activation", keras.activations.softmax)
    if activation is not keras.activations.softmax:
        raise ValueError(
            "The model must end in a softmax. Received: model "
            f"{model.name!r}, whose last layer's activation is "
            f"{getattr(activation, '__name__', activation)!r}"
        )


def check_scope(model: keras.Model, replicas: int) -> None:
    """Raises a ValueError if the model was made outside the strategy's scope."""
    if model.distribute_strategy.num_replicas_in_sync != replicas:
        raise ValueError(
            "`build_model` must make the model when it is called: made before, outside the "
            "strategy's scope, it would train on one device"
        )
