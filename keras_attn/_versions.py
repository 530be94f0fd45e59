"""The version folders of a model, as TF Serving reads them: `path/<integer>/`."""

from __future__ import annotations

import os
import pathlib
import re

MOST = 2**63 - 1  # an int64
# What absl::SimpleAtoi takes: ASCII digits with a sign, and spaces around them.
_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*")


def parse_version(name: str) -> int | None:
    """The version that a folder's name stands for, or `None` where TF Serving passes it over.

    Args:
        name: Name of an entry of a model's base folder.

    Returns:
        An integer of 64 bits.

    Example:

    >>> from keras_attn._versions import parse_version
    >>> parse_version("0012"), parse_version("1_0"), parse_version("9" * 20)
    (12, None, None)
    """
    found = _INTEGER.fullmatch(name)
    version = int(found[1]) if found else None
    return version if version is not None and -MOST - 1 <= version <= MOST else None


def find_versions(path: str | os.PathLike[str]) -> dict[int, pathlib.Path]:
    """Returns what has an integer for a name in `path`, from the lowest version to the highest.

    Names of another kind (a temporary folder, a note, a number beyond 64 bits) are no versions and
    are passed over. Of two names of one version, as `01` and `1`, the last in the order of their
    bytes counts, as on TF Serving.

    Args:
        path: The base folder of a model. It need not exist.
    """
    base = pathlib.Path(path)
    if not base.is_dir():
        return {}
    found = {}
    for entry in sorted(base.iterdir(), key=lambda entry: os.fsencode(entry.name)):
        if (version := parse_version(entry.name)) is not None:
            found[version] = entry
    return dict(sorted(found.items()))
