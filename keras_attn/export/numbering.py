"""The number of a version that is exported: a new one, by which it is moved into place."""

import errno
import os
import pathlib
from collections.abc import Mapping

from keras_attn._checks import check_positive_int
from keras_attn._versions import MOST, find_versions


def check_version(version: int | None, base: pathlib.Path) -> None:
    """Raises ValueError unless a version can be exported into a model's base folder.

    Args:
        version: Number of the version; `None` for the next one.
        base: The folder. It need not exist.
    """
    taken = find_versions(base)
    if version is None:
        _next_version(taken)
        return
    version = check_positive_int("version", version)
    if version > MOST:
        raise ValueError(
            f"`version` must be at most {MOST}, the greatest that TF Serving reads. "
            f"Received: version={version}"
        )
    if version in taken:
        raise _is_taken(version, taken[version])


def move_version(folder: pathlib.Path, base: pathlib.Path, version: int | None) -> pathlib.Path:
    """Moves what was written into its place, whole.

    Args:
        folder: The folder that was written, on the same disk.
        base: The model's base folder.
        version: The number. `None` for the next one, whatever other exports did in the meantime.

    Returns:
        The version folder.

    Raises:
        ValueError: If the version has come to exist.
    """
    while True:
        taken = find_versions(base)
        if version in taken:
            raise _is_taken(version, taken[version])
        target = base / str(_next_version(taken) if version is None else version)
        try:
            os.replace(folder, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            return target


def _next_version(taken: Mapping[int, pathlib.Path]) -> int:
    highest = max(taken, default=0)
    if highest == MOST:
        raise ValueError(
            "`version` must be given where the highest possible one exists. "
            f"Received: version=None, and {taken[highest]} exists"
        )
    return max(highest, 0) + 1


def _is_taken(version: int, there: pathlib.Path) -> ValueError:
    return ValueError(
        "`version` must be a new one, a version that exists is not overwritten. "
        f"Received: version={version}, and {there} exists"
    )
