"""Arithmetic of shapes that may be known only when the graph runs."""

from __future__ import annotations

from keras_attn.typing import Size


def ceil_div(length: Size, part: Size) -> Size:
    """ceil(length / part) of ints or scalar int tensors.

    Not `-(-length // part)`: once converted to ONNX, a division rounds towards zero.
    """
    return (length + part - 1) // part
