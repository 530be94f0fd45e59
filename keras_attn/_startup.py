"""When the package imports its names: at once, but for its own command line.

`import keras_attn` imports layers, networks and weights, which registers them with Keras. The
process of `keras-attn` itself needs neither Keras nor a backend to show a help text, a table or a
mistake, and a worker process that decodes images needs none at all. There packages wait with their
names until one of them is asked for. Elsewhere only `weights` does: its tables and readers of
formats take a fifth of the import, and a network of random weights needs none of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORKER = "KERAS_ATTN_WORKER"  # in the environment of a process that only reads and decodes

_waiting: list[str] = []
_waits = True
_importing = threading.RLock()  # whoever asks meanwhile waits


def is_own_command() -> bool:
    """Whether this process was started as `keras-attn` or as `python -m keras_attn.cli`.

    Processes that it starts, such as a server's workers, were not.
    """
    started = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    *before, program = started or [""]
    if before[-1:] == ["-m"]:
        return program == "keras_attn.cli"
    return Path(program).stem == "keras-attn" or program == "-mkeras_attn.cli"


def at_once(package: str, *, can_wait: bool = False) -> bool:
    """Whether a package imports its names now; if not, it needs the `__getattr__` of `later`.

    Args:
        package: Its name.
        can_wait: Whether it waits in every process.
    """
    waits = _waits and (can_wait or WORKER in os.environ or is_own_command())
    if waits:
        _waiting.append(package)
    return not waits


def later(package: str) -> Callable[[str], Any]:
    """A `__getattr__` for a package that waits: the first name asked for ends the waiting of all.

    Its modules can be imported before, and do not end it; `dir` does.
    """

    def find(name: str) -> Any:
        if importlib.util.find_spec(f"{package}.{name}"):
            return importlib.import_module(f"{package}.{name}")
        if not name.startswith("__") or name == "__all__":  # which `import *` asks for
            with _importing:
                if package in _waiting and not _waits:  # asked for by another that is at it
                    _import_names(package)
                import_all()
        if name not in vars(module):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return vars(module)[name]

    def names() -> list[str]:
        import_all()
        return sorted(vars(module))

    module: Any = sys.modules[package]
    module.__dir__ = names
    return find


def rooms(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A `__getattr__` that imports modules when they are asked for, and a `__dir__` with them."""
    module: Any = sys.modules[package]

    def find(name: str) -> Any:
        if name.startswith("_") or not importlib.util.find_spec(f"{package}.{name}"):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return importlib.import_module(f"{package}.{name}")

    def names() -> list[str]:
        found = (each.name for each in pkgutil.iter_modules(module.__path__))
        return sorted({*vars(module), *(name for name in found if not name.startswith("_"))})

    return find, names


def import_all() -> None:
    """Imports all that `import keras_attn` does elsewhere."""
    global _waits
    with _importing:
        if _waits:  # and not from within a package that is importing its names
            _waits = False
            while _waiting:
                _import_names(_waiting[0])


def _import_names(package: str) -> None:
    _waiting.remove(package)
    module: Any = sys.modules[package]
    waiting = module.__getattr__
    importlib.reload(module)
    if module.__getattr__ is waiting:
        del module.__getattr__, module.__dir__
