"""What an export returns: a path, with what its user should know."""

import os
import pathlib
from collections.abc import Iterable


class ExportedPath(type(pathlib.Path())):  # type: ignore[misc]
    """Where something was exported to: a path as any other.

    Attributes:
        notes: A line for each thing that was left out, or wasn't checked, or is otherwise than one
            might expect. The report beside the network has the numbers.
    """

    notes: tuple[str, ...] = ()


def exported(path: str | os.PathLike[str], notes: Iterable[str]) -> ExportedPath:
    """Makes one.

    Args:
        path: The path that the export was written to.
        notes: Sentences about the export that its user should know.
    """
    made = ExportedPath(path)
    made.notes = tuple(notes)
    return made
