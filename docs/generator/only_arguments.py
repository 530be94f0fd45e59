"""An extension of griffe: layers' pages have said what a docstring says beside the arguments."""

from __future__ import annotations

import re
from typing import Any

import griffe

SHAPES = re.compile(r"^(?:Call arguments|Input shape|Output shape):\n(?:(?:[ \t]+.*)?\n)+", re.M)


class OnlyArguments(griffe.Extension):
    """Takes those sections from the docstrings of layers."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Edits one docstring."""
        if cls.docstring is not None and cls.path.startswith("keras_attn.layers."):
            cls.docstring.value = SHAPES.sub("", cls.docstring.value)
