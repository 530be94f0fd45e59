"""An extension of griffe: our docstrings as it reads them."""

from __future__ import annotations

import re
from textwrap import dedent, indent
from typing import Any

import griffe

SHAPES = re.compile(r"^(?:Call arguments|Input shape|Output shape):\n(?:(?:[ \t]+.*)?\n)+", re.M)
EXAMPLE = re.compile(r"^Example:\n(.*)", re.M | re.S)


class Docstrings(griffe.Extension):
    """Makes a docstring's last part, its example, a section of griffe's.

    Of layers it takes away what their pages have said before their arguments.
    """

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Edits one docstring."""
        if obj.docstring is None:
            return
        text = obj.docstring.value
        if obj.is_class and obj.path.startswith("keras_attn.layers."):
            text = SHAPES.sub("", text)
        obj.docstring.value = EXAMPLE.sub(
            lambda found: "Examples:\n" + indent(dedent(found[1]).strip("\n"), "    "), text
        )
