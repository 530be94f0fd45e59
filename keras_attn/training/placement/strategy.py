"""Strategies by name, and where a training with one of them runs."""

import importlib
from typing import TYPE_CHECKING, Any

import keras

from keras_attn.training.placement import strategies
from keras_attn.training.placement.base import Placement
from keras_attn.training.placement.names import DEFAULT, STRATEGIES, check_name
from keras_attn.training.placement.plain_keras import PlainKeras

if TYPE_CHECKING:
    import tensorflow as tf


def kind_of(name: str) -> type[Placement]:
    """The placement of a strategy's name, one of `STRATEGIES`."""
    module = importlib.import_module(f"{strategies.__name__}.{name.replace('-', '_')}")
    placement: type[Placement] = module.PLACEMENT
    return placement


def get_strategy(name: str, *, timeout: float = 300.0) -> "tf.distribute.Strategy":
    """Gives the tf.distribute strategy of that name.

    Args:
        name: `"one-device"` is TensorFlow's default: the first visible GPU, else the CPU.
            `"mirrored"` is a replica on each visible GPU, else on each logical CPU device. There
            is one of these, unless `tf.config.set_logical_device_configuration` made more: a way
            to try it out. `"multi-worker"` is that on each of the machines, or processes, that
            the environment variable TF_CONFIG names; it waits for them, and must be made before
            TensorFlow does anything else. `"parameter-server"` is for the chief of a TF_CONFIG
            with `ps` and `worker` tasks, see `strategies/parameter_server.py`. `"tpu"` is the TPU
            that TensorFlow finds. Tried on CPU devices and on processes of one machine; on several
            GPUs and on TPUs it has not run.
        timeout: Number of seconds for which `"multi-worker"` waits for the other processes.

    Returns:
        A `tf.distribute.Strategy`. Build the model in its `scope()`.

    Raises:
        ValueError: If there is no strategy of that name, or TF_CONFIG is wrong.
        TimeoutError: If a worker doesn't come; it says which.
        RuntimeError: If TensorFlow has started before `"multi-worker"`, or there is no TPU.
        ImportError: If TensorFlow is not installed, or not the backend.

    Example:
        >>> get_strategy("one-device").num_replicas_in_sync
        1
    """
    check_name(name)
    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            f"The strategy {name!r} is TensorFlow's, and Keras runs on "
            f"{keras.backend.backend()!r} here. Set KERAS_BACKEND=tensorflow."
        )
    return kind_of(name).make_strategy(timeout)


def place(strategy: "str | tf.distribute.Strategy") -> Placement:
    """Where a training with that strategy runs, on any backend.

    Args:
        strategy: Name of a strategy, or a strategy.

    Raises:
        ValueError: If it is neither a name nor a strategy.
    """
    if keras.backend.backend() != "tensorflow" and strategy == DEFAULT:
        return PlainKeras()
    if isinstance(strategy, str):
        strategy = get_strategy(strategy)
    kind: Any = kind_for(strategy)
    placement: Placement = kind(strategy)
    return placement


def kind_for(strategy: "str | tf.distribute.Strategy") -> type[Placement]:
    """The placement of a strategy, or of a strategy's name.

    Raises:
        ValueError: If it is neither a name nor a strategy.
    """
    if isinstance(strategy, str):
        return kind_of(strategy)
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.Strategy):
        raise ValueError(
            "`strategy` must be the name of a strategy or a tf.distribute.Strategy. "
            f"Received: strategy={strategy!r}"
        )
    special = [kind for kind in map(kind_of, STRATEGIES) if kind.takes(strategy)]
    if special:
        return special[0]
    return kind_of("mirrored" if strategy.num_replicas_in_sync > 1 else DEFAULT)


def place_of(model: keras.Model) -> Placement:
    """Where a model is that was made in the scope of some strategy."""
    return place(getattr(model, "distribute_strategy", DEFAULT))
