"""JSON objects as RapidJSON has them: a list of members, in which a name may stand twice."""

from typing import Any


class Members(dict[str, Any]):
    """An object that has a name twice. The dict holds the first of each, which RapidJSON finds.

    Args:
        pairs: All members of the object.
    """

    def __init__(self, pairs: list[tuple[str, Any]]):
        super().__init__(reversed(pairs))
        self.pairs = pairs


def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a plain dict wherever it says all."""
    members = dict(pairs)
    return members if len(members) == len(pairs) else Members(pairs)


def all_members(value: dict[str, Any]) -> list[tuple[str, Any]]:
    """Returns all names and values, those too that a dict can't hold."""
    return value.pairs if isinstance(value, Members) else list(value.items())
