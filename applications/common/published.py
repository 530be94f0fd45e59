"""What others print of a network's cost, to compare with what is counted here."""

from __future__ import annotations

import re
from typing import NamedTuple

UNITS = {"": 1, "M": 1e6, "MMACs": 1e6, "GMACs": 1e9, "GFLOPs": 1e9}


class Published(NamedTuple):
    """What a paper, or its authors' code, says of a network's cost.

    Attributes:
        source: Where the numbers stand.
        parameters: As printed there: `"36.2M"`, `"28,088,024"`.
        counted: Which of our counts that is, `"trainable"` or `"all"`.
        compute: As printed there, and what was counted: `"6.2 GMACs"`, `"8.2 GFLOPs"`. Papers
            write FLOPs for either.
        note: Why ours differs, where it does.
    """

    source: str
    parameters: str = ""
    counted: str = "trainable"
    compute: str = ""
    note: str = ""


def printed_value(text: str) -> tuple[float, float]:
    """Reads a number as it is printed.

    Args:
        text: A number and a unit, as in `Published`.

    Returns:
        The value, and the greatest error that its rounding allows.

    Raises:
        ValueError: If it is no such text.

    Example:

    >>> printed_value("36M")
    (36000000.0, 500000.0)
    """
    found = re.fullmatch(r"([\d,]+)(?:\.(\d+))? ?([A-Za-z]*)", text)
    if found is None or found[3] not in UNITS:
        listed = ", ".join(filter(None, UNITS))
        raise ValueError(f"`text` must be a number, with {listed} or no unit. Received: {text!r}")
    decimals, scale = found[2] or "", UNITS[found[3]]
    value = float(f"{found[1].replace(',', '')}.{decimals}") * scale
    return value, 0.5 * 10 ** -len(decimals) * scale
