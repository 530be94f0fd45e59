"""What tells files from others: their contents, whatever their times and the folder's name."""

import hashlib
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WHOLE_BYTES = 8 * 2**30  # of more than this in all, only the ends of compressed files are read
END_BYTES = 2**16
BLOCK_BYTES = 2**20
AT_ONCE = 32  # files that a thread is given together
# A pixel can change without a trace at the end of these; compressed data goes on differently.
UNCOMPRESSED = (".bmp", ".tif", ".tiff", ".ppm", ".pgm")


def digest_files(root: Path, paths: Sequence[str]) -> list[str]:
    """Gives a hexadecimal sha256 of each file.

    It is over the whole file, so that one that was replaced by another of the same size is noticed,
    and a copy with new times is the same. Of more than 8 GiB in all it is over the size and both
    ends, for files of compressed formats.

    Args:
        root: Folder in which the files are.
        paths: Paths of the files, relative to `root`.

    Raises:
        OSError: If a file can't be read; the message names it.
    """
    folder = os.fspath(root)
    # Together, as each call of a thread takes more time and memory than a small file does.
    parts = [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)]

    def sizes_of(part: Sequence[str]) -> list[int]:
        return [os.path.getsize(os.path.join(folder, path)) for path in part]

    with ThreadPoolExecutor() as threads:  # hashing and reading need no lock of Python's
        sizes = list(threads.map(sizes_of, parts))
        whole = sum(map(sum, sizes)) <= WHOLE_BYTES

        def digests(part: Sequence[str], sizes: list[int]) -> list[str]:
            found = []
            for path, size in zip(part, sizes, strict=True):
                reads_all = whole or path.lower().endswith(UNCOMPRESSED)
                found.append(_digest(os.path.join(folder, path), None if reads_all else size))
            return found

        return list(itertools.chain.from_iterable(threads.map(digests, parts, sizes)))


def _digest(path: str, size: int | None) -> str:
    """The sha256 of a file, or of its size and its ends where the size is given."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        if size is None:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
        else:
            digest.update(f"{size}\0".encode() + file.read(END_BYTES))
            file.seek(max(END_BYTES, size - END_BYTES))
            digest.update(file.read(END_BYTES))
    return digest.hexdigest()
