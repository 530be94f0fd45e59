"""What `train` and `evaluate` ask of their arguments and of the model."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_attn.data.augment import KERAS_LAYERS, check_augment
from keras_attn.data.image_dataset import ImageDataset, check_seed
from keras_attn.training.optimizers import SCHEDULES

COUNTS = ("epochs", "batch_size", "evaluate_every", "accumulation_steps", "steps_per_execution")
RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "learning_rate": ("a positive number", lambda value: 0 < value < math.inf),
    "weight_decay": ("a number, 0 or more", lambda value: 0 <= value < math.inf),
    "warmup": ("a number from 0 to below 1", lambda value: 0 <= value < 1),
    "label_smoothing": ("a number from 0 to below 1", lambda value: 0 <= value < 1),
    "clip_norm": ("a positive number or None", lambda value: 0 < value < math.inf),
    "ema": ("a number between 0 and 1 or None", lambda value: 0 < value < 1),
}
OPTIONAL = ("clip_norm", "ema")
CHOICES = {
    "schedule": SCHEDULES,
    "mixed_precision": (None, "float16", "bfloat16"),
    "jit_compile": (True, False, "auto"),
}
FLAGS = ("decay_all", "synchronized", "deterministic", "keep_best")


def check_arguments(
    arguments: dict[str, Any], dataset: ImageDataset, out: str | os.PathLike[str], verbose: Any
) -> None:
    """Raises a ValueError that names the first wrong one of `train`'s arguments."""
    if not isinstance(dataset, ImageDataset):
        raise ValueError(
            f"`dataset` must be an ImageDataset, see `load_dataset`. Received: dataset={dataset!r}"
        )
    for name in COUNTS:
        value = arguments[name]
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
    check_seed(arguments["seed"])
    if arguments["batch_size"] > dataset.train_size:
        raise ValueError(
            f"`batch_size` must not exceed the {dataset.train_size} training images. "
            f"Received: batch_size={arguments['batch_size']}"
        )
    for name, (rule, holds) in RANGES.items():
        value = arguments[name]
        if value is None and name in OPTIONAL:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not holds(value):
            raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    for name, choices in CHOICES.items():
        if not any(arguments[name] is c or arguments[name] == c for c in choices):
            raise ValueError(
                f"`{name}` must be one of {', '.join(map(repr, choices))}. "
                f"Received: {name}={arguments[name]!r}"
            )
    for name in FLAGS:
        if not isinstance(arguments[name], bool):
            raise ValueError(f"`{name}` must be a bool. Received: {name}={arguments[name]!r}")
    if arguments["keep_best"] and arguments["ema"] is not None:
        raise ValueError(
            "`keep_best` must be False with `ema`: after an epoch the network has the weights "
            "themselves, and what was evaluated is their average. Received: keep_best=True"
        )
    _check_milestones(arguments["milestones"])
    check_augment(arguments["augment"])
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"`verbose` must be 'auto', 0, 1 or 2. Received: verbose={verbose!r}")
    if Path(out).exists() and not Path(out).is_dir():
        raise ValueError(f"`out` must be a folder. Received: out={os.fspath(out)!r}, a file")


def _check_milestones(milestones: Any) -> None:
    if (
        not isinstance(milestones, Sequence)
        or not all(isinstance(share, (int, float)) and 0 < share < 1 for share in milestones)
        or list(milestones) != sorted(milestones)
    ):
        raise ValueError(
            "`milestones` must be ascending shares of the training, between 0 and 1. "
            f"Received: milestones={milestones!r}"
        )


def check_finite(model: keras.Model, loss: float) -> None:
    """Raises a FloatingPointError unless the held-out loss and all weights are finite."""
    broken = {"held-out loss": np.asarray(loss)} | {
        f"weight {weight.path}": weight.numpy() for weight in model.weights
    }
    for what, values in broken.items():
        if not np.isfinite(values).all():
            raise FloatingPointError(
                f"The {what} became {values[~np.isfinite(values)][0]} at the end. Nothing was "
                "written. A lower `learning_rate` or a longer `warmup` may help."
            )


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


def check_asynchronous(arguments: dict[str, Any]) -> None:
    """Raises a ValueError for what workers that race can't do."""
    for name, allowed in (
        ("ema", None),
        ("accumulation_steps", 1),
        ("steps_per_execution", 1),
        ("synchronized", False),
        ("deterministic", False),
        ("keep_best", False),
        ("learning_rate_factors", {}),
        ("weight_decay_factors", {}),
    ):
        if arguments[name] != allowed:
            raise ValueError(
                f"`{name}` must be {allowed} with parameter servers, whose workers don't wait for "
                f"each other. Received: {name}={arguments[name]!r}"
            )
    if set(arguments["augment"]) & set(KERAS_LAYERS):
        raise ValueError(
            f"`augment` must be without {', '.join(KERAS_LAYERS)} with parameter servers: Keras's "
            f"layers can't be made there. Received: augment={arguments['augment']!r}"
        )
    if arguments["mixed_precision"] == "float16":
        raise ValueError(
            "`mixed_precision` must be 'bfloat16' or None with parameter servers: there is no loss "
            "scaling for them. Received: mixed_precision='float16'"
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
