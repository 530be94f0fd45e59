"""What tells a network from others: its layers and how they are joined."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import keras


def architecture(network: keras.Model) -> str:
    """Tells a network from others: a hexadecimal sha256.

    It is over the layers' arguments, which of them are trainable, how they are joined, and the
    shapes of the weights. It is not over their values, nor over the layers' names: Keras numbers
    those on within a process.
    """
    try:
        config = network.get_config()
    except (NotImplementedError, TypeError):  # a class of the user's that has none
        config = {"layers": [type(layer).__name__ for layer in network.layers]}
    numbers: dict[str, str] = {}
    for name in _names(config):
        numbers.setdefault(name, f"#{len(numbers)}")
    shapes = [list(variable.shape) for variable in network.variables]
    text = json.dumps([_numbered(config, numbers), shapes], sort_keys=True, default=_kind)
    return hashlib.sha256(text.encode()).hexdigest()


def name_of(name: str) -> str:
    """A network's name, without the number that Keras gives to those that have none."""
    return re.sub(r"^(functional|sequential)_\d+$", r"\1", name)


def _names(config: Any) -> Iterator[str]:
    """The names of all layers and operations in a config, in its order."""
    if isinstance(config, dict):
        named = config.keys() & {"trainable", "inbound_nodes"}
        if named and isinstance(config.get("name"), str):
            yield config["name"]
        for value in config.values():
            yield from _names(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from _names(value)


def _numbered(config: Any, numbers: dict[str, str]) -> Any:
    """The config with numbers for the layers' names."""
    if isinstance(config, dict):
        return {str(key): _numbered(value, numbers) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_numbered(value, numbers) for value in config]
    return numbers.get(config, config) if isinstance(config, str) else config


def _kind(value: Any) -> str:
    return type(value).__qualname__
