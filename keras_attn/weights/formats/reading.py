"""Reading what somebody else wrote: one kind of error, and bounds that hold before memory is taken.

What a file may ask for is measured against what it holds: a tensor has its numbers in the file,
headers and directories are short, and only then is anything read.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MIB = 1 << 20
# Python's lists and dictionaries take some 25 times the JSON that they are read from. The largest
# network's configuration has half of a MiB.
MOST_JSON = 4 * MIB
MOST_DIRECTORY = 4 * MIB  # of a zip: some 50,000 members
MOST_NAME = 1024
MOST_TENSORS = 10_000  # the largest networks have a tenth of it
# Weights hardly compress: what is unpacked may be so many times the file, and a little more.
MOST_EXPANSION = 4
SPARE = 16 * MIB


@contextmanager
def reading(path: Path, failure: str) -> Iterator[None]:
    """Makes every error of a reader a `ValueError` of one line that names the file.

    Args:
        path: The file.
        failure: The end of the error's sentence, such as "is no readable PyTorch file".

    Yields:
        Nothing.

    Raises:
        ValueError: If what is done inside raises.
    """
    try:
        yield
    except Exception as error:  # a reader of cut and forged files may end in any
        reason = first_line(error)
        if isinstance(error, ValueError) and str(error) == reason and str(path) in reason:
            raise
        raise ValueError(f"{path} {failure}: {reason}") from error


def first_line(error: BaseException, most: int = 2000) -> str:
    """The first line of an error's text, or its kind where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:most] if lines else type(error).__name__


def most_bytes(path: Path) -> int:
    """How much may be unpacked from a file."""
    return MOST_EXPANSION * path.stat().st_size + SPARE


def read_json(text: bytes | str) -> Any:
    """Parses JSON of bounded length; a name that comes twice is an error.

    Args:
        text: The JSON.

    Returns:
        What it says.

    Raises:
        ValueError: If it is too long, no JSON, or has a name twice.
    """
    if len(text) > MOST_JSON:
        raise ValueError(f"its header has {len(text)} bytes, more than {MOST_JSON}")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            counts = Counter(name for name, _ in items)
            doubled = sorted(name for name, count in counts.items() if count > 1)
            raise ValueError(f"it has names twice: {', '.join(doubled[:5])[:MOST_NAME]}")
        return found

    return json.loads(text, object_pairs_hook=pairs)


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip whose directory is of bounded length. Read its members in pieces.

    Args:
        path: The file.

    Yields:
        The archive.
    """
    with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
        yield archive


class _Bounded(io.FileIO):
    """A file of which no more is read at once than a directory may have."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MOST_DIRECTORY:
            raise zipfile.BadZipFile(f"its directory has {size} bytes, more than {MOST_DIRECTORY}")
        return super().read(-1 if size is None else size)
