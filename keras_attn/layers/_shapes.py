"""Arithmetic of shapes that may be known only when the graph runs."""

from __future__ import annotations

from typing import Any


def ceil_div(length: Any, part: Any) -> Any:
    """ceil(length / part) of ints or scalar int tensors.

    Not `-(-length // part)`: once converted to ONNX, a division rounds towards zero.
    """
    return (length + part - 1) // part
