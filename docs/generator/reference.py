"""A page for each room of the library, of what its `__init__` exports."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from typing import Any

from generator.markdown import table
from keras_attn.training.config import OPTIONS, TrainingConfig

ROOMS = {
    "training": "Training",
    "data": "Data",
    "finetune": "Fine-tuning",
    "losses": "Losses",
    "insertion": "Insertion",
    "kinds": "Kinds of attention",
    "explain": "Explaining",
    "export": "Export",
    "classifiers": "Trained networks",
    "serving": "Serving",
    "weights": "Weights",
    "cost": "Cost",
}


def pages() -> tuple[dict[str, str], list[Any]]:
    """The pages by their paths, and their part of the navigation."""
    texts = {f"reference/{room}.md": _page(room, title) for room, title in ROOMS.items()}
    texts["layers/contract.md"] = CONTRACT
    return texts, [f"reference/{room}.md" for room in ROOMS]


CONTRACT = """# What layers say of themselves

::: keras_attn.layers.contract
    options:
      show_root_heading: false
      show_root_toc_entry: false
      members_order: source
"""


def _options() -> str:
    """What each option of a training is; its type has its text."""
    fields = {field.name: field for field in dataclasses.fields(TrainingConfig)}
    rows = [
        (
            f"`{name}`",
            option.explained(),
            "" if _is_needed(fields[name]) else repr(fields[name].default),
        )
        for name, option in OPTIONS.items()
    ]
    return table(("option", "what it is", "default"), rows)


def _is_needed(field: Any) -> bool:
    return field.default is dataclasses.MISSING


def _page(room: str, title: str) -> str:
    module = importlib.import_module(f"keras_attn.{room}")
    text = (module.__doc__ or "").strip().splitlines()[0]
    parts = [f"# {title}", f"{text} Import these from `keras_attn.{room}`."]
    for name in dir(module):
        value = getattr(module, name)
        home = getattr(value, "__module__", "")
        if name[0] == "_" or not home.startswith(f"keras_attn.{room}."):
            continue
        if value is TrainingConfig:
            parts.append(
                f"::: {home}.{name}\n    options:\n      show_signature: false\n"
                "      show_docstring_parameters: false\n      members: []"
            )
            parts.append(_options())
        elif inspect.isclass(value) or inspect.isfunction(value):
            parts.append(f"::: {home}.{name}")
    return "\n\n".join(parts) + "\n"
