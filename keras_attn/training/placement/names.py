"""Strategies by name: the files in `strategies`."""

import pkgutil
from typing import Any

from keras_attn.training.placement import strategies

DEFAULT = "one-device"
_FILES = sorted(module.name for module in pkgutil.iter_modules(strategies.__path__))
STRATEGIES = tuple(
    sorted((name.replace("_", "-") for name in _FILES), key=lambda name: name != DEFAULT)
)


def check_name(strategy: Any) -> None:
    """Raises a ValueError unless `strategy` is the name of one."""
    if strategy not in STRATEGIES:
        raise ValueError(
            f"`strategy` must be one of {', '.join(map(repr, STRATEGIES))}. "
            f"Received: strategy={strategy!r}"
        )
