"""What is known of a folder's image files: their sizes, what can't be read, their digests.

Of many files it is kept in the cache, and of those that are as they were, by size and times, it is
not looked at again. A file's time of change tells of a file of the same size and time, too.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_attn.data.batches.workers import start_workers, usable_cores
from keras_attn.data.file_digest import digest_files
from keras_attn.data.readers.kept_arrays import load_arrays, save_arrays
from keras_attn.images import image_size, read_image

KEPT_FROM = 1000  # files of a folder from which on the cache has it
BY_WORKERS_FROM = 20_000  # files to look at from which on worker processes do it
AT_ONCE = 500
SEEN, DECODED = 1, 2  # what is known of a file: its header and its end, or all of it
Looked = tuple[int, int, str]  # height, width, and what is wrong with it


class FolderIndex:
    """What is known of some files of a folder.

    Args:
        root: The folder.
        paths: Paths of the files, relative to it.
    """

    def __init__(self, root: Path, paths: Sequence[str]) -> None:
        self.root = root
        self.paths = tuple(paths)
        count = len(self.paths)
        self._stats = _stats(root, self.paths)  # (N, 3)
        self._sides = np.zeros((count, 2), "int32")
        self._level = np.zeros(count, "uint8")
        self._digests = np.zeros(count, "S64")
        self._wrong: dict[str, str] = {}
        if self.is_kept:
            self._recall()

    @property
    def is_kept(self) -> bool:
        """Whether there are so many that the cache has them."""
        return len(self.paths) >= KEPT_FROM

    def look(self, *, decode: bool) -> None:
        """Looks at the files of which too little is known.

        Args:
            decode: Whether to decode them, rather than to read headers and ends.
        """
        level = DECODED if decode else SEEN
        missing = np.flatnonzero(self._level < level)
        if not len(missing):
            return
        for row, (height, width, reason) in zip(
            missing, _each(self.root, [self.paths[row] for row in missing], decode), strict=True
        ):
            self._sides[row] = height, width
            if reason:
                self._wrong[self.paths[row]] = reason
        self._level[missing] = level
        self._keep()

    def sizes(self) -> dict[tuple[int, int], str]:
        """Each `(H, W)` of files that can be read -> the first such file; in the files' order."""
        both = self._sides.astype("int64") @ [2**32, 1]
        _, first = np.unique(both, return_index=True)
        found = [(tuple(self._sides[row].tolist()), self.paths[row]) for row in np.sort(first)]
        return {size: path for size, path in found if all(size)}  # (0, 0) can't be read

    @property
    def unreadable(self) -> dict[str, str]:
        """Path -> what is wrong with it."""
        return dict(self._wrong)

    def digests(self, paths: Sequence[str]) -> list[str]:
        """The sha256 of each of these files, see `digest_files`."""
        rows = np.array([self._row[path] for path in paths])
        missing = rows[self._digests[rows] == b""]
        if len(missing):
            self._digests[missing] = digest_files(self.root, [self.paths[row] for row in missing])
            self._keep()
        return [digest.decode() for digest in self._digests[rows].tolist()]

    @functools.cached_property
    def _row(self) -> dict[str, int]:
        return {path: row for row, path in enumerate(self.paths)}

    def _recall(self) -> None:
        kept = load_arrays("folders", str(self.root.resolve()))
        if not kept:
            return
        there = here = np.arange(len(self.paths))
        if not np.array_equal(kept["paths"], _packed(self.paths)):
            names = bytes(kept["paths"]).decode("utf-8", "surrogateescape").split("\0")
            rows = np.array([self._row.get(name, -1) for name in names], int)
            there = np.flatnonzero(rows >= 0)
            here = rows[there]
        same = (kept["stats"][there] == self._stats[here]).all(1)
        there, here = there[same], here[same]
        self._sides[here] = kept["sides"][there]
        self._level[here] = kept["level"][there]
        self._digests[here] = kept["digests"][there]
        reasons = bytes(kept["wrong"]).decode("utf-8", "surrogateescape").split("\0")
        if len(reasons) > 1:
            known = set(here.tolist())
            for path, reason in zip(reasons[::2], reasons[1::2], strict=False):
                if self._row.get(path) in known:
                    self._wrong[path] = reason

    def _keep(self) -> None:
        if not self.is_kept:
            return
        reasons = itertools.chain.from_iterable(self._wrong.items())
        arrays = {
            "paths": _packed(self.paths),
            "stats": self._stats,
            "sides": self._sides,
            "level": self._level,
            "digests": self._digests,
            "wrong": _packed(reasons),
        }
        save_arrays("folders", str(self.root.resolve()), arrays)


def _packed(texts: Iterable[str]) -> np.ndarray:
    return np.frombuffer("\0".join(texts).encode("utf-8", "surrogateescape"), "uint8")


def _stats(root: Path, paths: Sequence[str]) -> np.ndarray:
    """Size and times of modification and of change of each file, int64 `(N, 3)`."""
    folder = os.fspath(root)

    def of_some(start: int) -> np.ndarray:
        found = [os.stat(f"{folder}/{path}") for path in paths[start : start + AT_ONCE]]
        numbers = [(each.st_size, each.st_mtime_ns, each.st_ctime_ns) for each in found]
        return np.array(numbers, "int64").reshape(-1, 3)

    with ThreadPoolExecutor() as threads:
        parts = list(threads.map(of_some, range(0, len(paths), AT_ONCE)))
    return np.concatenate([np.zeros((0, 3), "int64"), *parts])


def _each(root: Path, paths: list[str], decode: bool) -> Iterable[Looked]:
    """What a look at each file gives, in their order."""
    parts = [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)]
    look: Callable[..., list[Looked]] = _look_at_some
    if len(paths) < BY_WORKERS_FROM:
        with ThreadPoolExecutor() as threads:  # Pillow decodes without Python's lock
            parts_found = list(threads.map(lambda path: look(root, [path], decode), paths))
    else:
        workers = start_workers(usable_cores())
        with workers:
            given = zip(*((root, part, decode) for part in parts), strict=True)
            parts_found = list(workers.map(look, *given))
    return itertools.chain.from_iterable(parts_found)


def _look_at_some(root: Path, paths: Sequence[str], decode: bool) -> list[Looked]:
    found, folder = [], os.fspath(root)
    for path in paths:
        try:
            height, width = image_size(f"{folder}/{path}")
            if decode:
                read_image(f"{folder}/{path}", (None, None, 3))
            found.append((height, width, ""))
        except ValueError as error:
            found.append((0, 0, str(error.__cause__ or error)))
    return found
