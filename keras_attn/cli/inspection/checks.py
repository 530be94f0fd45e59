"""`keras-attn checks`: what is installed here, what runs on what, and what the extras lack."""

from __future__ import annotations

import argparse
import importlib.util
import platform
from typing import Any

from keras_attn._extras import EXTRAS
from keras_attn._version import __version__
from keras_attn.cli.arguments import add_json
from keras_attn.cli.library import import_library
from keras_attn.cli.tables import print_json, print_table

HELP = "Say which versions, backends and devices there are, and what each extra lacks."
EXAMPLE = "keras-attn checks --json"

PACKAGES = ("keras", "numpy", "tensorflow", "jax", "torch")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 1 where the library can't be used."""
    found: dict[str, Any] = {
        "versions": {
            "keras_attn": __version__,
            "python": platform.python_version(),
            **{name: version for name in PACKAGES if (version := _version(name))},
        },
        "platform": platform.platform(),
        "backend": None,
        "devices": [],
        "problem": None,
        "extras": lacking(),
    }
    try:
        import_library()
        found |= _backend()
    except Exception as error:  # whatever is wrong with the installation
        found["problem"] = " ".join(str(error).split())
    if args.json:
        print_json(found)
    else:
        _print(found)
    return 0 if found["problem"] is None else 1


def lacking() -> dict[str, list[str]]:
    """Extra -> the modules that it would bring and that are not there."""
    extras: dict[str, list[str]] = {}
    for module, bringing in EXTRAS.items():
        is_there = importlib.util.find_spec(module) is not None
        for extra in bringing:
            extras.setdefault(extra, [])
            extras[extra] += [] if is_there else [module]
    return extras


def _version(package: str) -> str | None:
    import importlib.metadata  # as slow as all the rest of the command line

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _backend() -> dict[str, Any]:
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        devices = [device.name for device in tf.config.list_physical_devices()]
    else:
        devices = list(keras.distribution.list_devices())
    return {"backend": backend, "devices": devices}


def _print(found: dict[str, Any]) -> None:
    rows = list(found["versions"].items())
    rows += [
        ("platform", found["platform"]),
        ("backend", found["backend"] or f"none: {found['problem']}"),
        ("devices", ", ".join(found["devices"]) or "unknown"),
    ]
    for extra, modules in found["extras"].items():
        install = f"pip install 'keras-attn[{extra}]'"
        lacks = f"lacks {', '.join(modules)}: {install}" if modules else "is complete"
        rows.append((f"[{extra}]", lacks))
    print_table([{"what": what, "is": value} for what, value in rows], narrow=("what", "is"))
