"""Which extra brings a package that only a part of the library needs."""

from __future__ import annotations

import importlib

# Each module that is imported anywhere here, beside those that `pip install keras-attn` brings.
EXTRAS = {
    "tensorflow": ("tensorflow",),
    "tensorflow_datasets": ("train",),
    "importlib_resources": ("train",),
    "sklearn": ("train",),
    "joblib": ("train",),
    "array_record": ("train",),
    "tensorboard": ("train",),
    "PIL": ("train", "export", "report"),
    "ai_edge_litert": ("export",),
    "onnx": ("export",),
    "onnxruntime": ("export",),
    "tf2onnx": ("export",),
    "tensorflow_serving": ("export", "serving"),
    "google": ("tensorflow",),
    "grpc": ("serving",),
    "grpc_health": ("serving",),
    "prometheus_client": ("serving",),
    "starlette": ("serving",),
    "uvicorn": ("serving",),
    "h11": ("serving",),
    "matplotlib": ("report",),
    "jinja2": ("report",),
    "huggingface_hub": ("hub",),
    "safetensors": ("hub",),
    "jax": ("backends",),
    "torch": ("backends",),
}


def need(*modules: str) -> None:
    """Imports modules, before the work begins that needs them.

    Args:
        modules: Names in `EXTRAS`.

    Raises:
        ModuleNotFoundError: If one is not installed; the message says which extra brings it.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(explain_missing(error), name=error.name) from error


def explain_missing(error: ImportError) -> str:
    """The message of an import that failed, with the extra that brings the module.

    Args:
        error: The exception that importing raised.
    """
    extras = EXTRAS.get((error.name or "").partition(".")[0], ())
    commands = " or ".join(f"`pip install 'keras-attn[{extra}]'`" for extra in extras)
    if not commands or commands in str(error):
        return str(error)
    return f"{error}. Install it with {commands}."
