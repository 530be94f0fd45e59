"""A folder of images, with a subfolder for each class."""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.data import splits
from keras_attn.data.image_dataset import ImageDataset, listed
from keras_attn.data.splits import FileSplit
from keras_attn.images import SUFFIXES, image_files, image_size, read_image

HELD_OUT = ("test", "val", "validation")
TEST_SHARE = 0.2


def read_folder(
    folder: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    usual_size: tuple[int, int] | None = None,
    seed: int = 0,
    test_share: float = TEST_SHARE,
    skip_unreadable: bool = False,
) -> ImageDataset:
    """Reads a folder of images with a subfolder for each class.

    The folder holds either `train/` and one of `test/`, `val/` and `validation/`, with the same
    subfolders each, or the classes' subfolders at once; then `test_share` of each class is held
    out. Images may lie deeper in their class's subfolder. Hidden files and folders, and files that
    are not images by their suffix, are passed over. Images become RGB and upright, as
    `keras_attn.images` reads them. They are decoded here and kept, where they come to at most
    1 GiB; of more, the headers are read here and the images when they are needed.

    Args:
        folder: Folder of the images.
        size: `(H, W)` to which images are resized (bilinear, the whole image, so that its
            proportions may change), or `None` for the size that they all have.
        usual_size: `(H, W)` to take without `size` where they differ in size, or are larger than
            this. `None`: they must not differ.
        seed: Seed of the choice of held-out images where the folder doesn't say.
        test_share: Share of each class that is held out where the folder doesn't say; one
            image at least.
        skip_unreadable: Whether to leave out image files that can't be read, all of which are
            then decoded here.

    Returns:
        An `ImageDataset` of `FileSplit`s, its classes in the order of their sorted names.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there are no images, a class has none or too few, a class is in one split
            only, images can't be read, or they differ in size and no size is given. The message
            names the class or all the files.
        ImportError: If Pillow is not installed.

    Example:
        >>> read_folder("data/flowers", size=(224, 224)).class_names
        ('daisy', 'rose', 'tulip')
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"`name` must be a folder of images. Received: name={os.fspath(folder)!r}, which is "
            "not there"
        )
    found = _splits(root)
    paths = [path for split in found for files in split.values() for path in files]
    looked = _Look(root, paths, size, usual_size, decode_all=skip_unreadable)
    if looked.unreadable:
        if not skip_unreadable:
            raise ValueError(_unreadable(folder, looked.unreadable))
        found = [_without(looked.unreadable, split, root) for split in found]
    train, test = found if len(found) == 2 else _hold_out(found[0], root, seed, test_share)

    def file_split(classes: dict[str, list[str]]) -> FileSplit:
        paths, labels = _flat(classes)
        kept = [np.stack([looked.decoded[path] for path in paths])] if looked.decoded else []
        return FileSplit(root, tuple(paths), np.array(labels, "int64"), looked.size, kept)

    return ImageDataset(
        name=os.fspath(folder),
        class_names=tuple(sorted(train)),
        image_shape=(*looked.size, 3),
        train=file_split(train),
        test=file_split(test),
        seed=seed,
        notes=_notes(root, looked),
    )


def _splits(root: Path) -> list[dict[str, list[str]]]:
    """The image files of each class: of both splits, or of a folder that is not split yet."""
    subfolders = _subfolders(root)
    held_out = [name for name in HELD_OUT if name in subfolders]
    if "train" not in subfolders or not held_out:
        return [_files(root, root)]
    if len(held_out) > 1:
        raise ValueError(
            f"{root} must hold one of the folders {', '.join(HELD_OUT)} beside train. "
            f"Received: {' and '.join(held_out)}"
        )
    train, test = (_files(root, root / name) for name in ("train", held_out[0]))
    for one, other, where in ((train, test, held_out[0]), (test, train, "train")):
        alone = sorted(set(one) - set(other))
        if alone:
            raise ValueError(
                f"{root} must have the same classes in train and in {held_out[0]}. "
                f"Received: no class {alone[0]!r} in {where}"
            )
    return [train, test]


class _Look:
    """What a look into each file has found.

    Attributes:
        size: `(H, W)` that all images become.
        resized: Whether the usual size was taken.
        unreadable: Path -> what is wrong with it.
        decoded: Path -> pixels, where all of them are small enough to be kept.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        size: tuple[int, int] | None,
        usual_size: tuple[int, int] | None,
        *,
        decode_all: bool,
    ) -> None:
        self.unreadable: dict[str, str] = {}
        headers = self._each(lambda path: image_size(root / path), paths)
        self.resized = False
        if size is None:
            size, self.resized = _common_size(root, headers, usual_size, self.unreadable)
        self.size = shape = size
        self.decoded: dict[str, np.ndarray] = {}
        is_small = 3 * len(headers) * math.prod(shape) <= splits.CACHE_BYTES
        if is_small:
            self.decoded = self._each(lambda path: read_image(root / path, (*shape, 3)), headers)
        elif decode_all:
            self._each(lambda path: read_image(root / path, (*shape, 3)).size, headers)

    def _each(self, look: Callable[[str], Any], paths: Iterable[str]) -> dict[str, Any]:
        """What a function gives for each path; a path that it raises for is unreadable."""

        def tried(path: str) -> Any:
            try:
                return look(path)
            except ValueError as error:
                return error

        paths = list(paths)
        with ThreadPoolExecutor() as threads:  # Pillow decodes without Python's lock
            found = dict(zip(paths, threads.map(tried, paths), strict=True))
        failed = {path: error for path, error in found.items() if isinstance(error, ValueError)}
        self.unreadable |= {path: str(e.__cause__ or e) for path, e in failed.items()}
        return {path: value for path, value in found.items() if path not in failed}


def _common_size(
    root: Path,
    headers: dict[str, tuple[int, int]],
    usual_size: tuple[int, int] | None,
    unreadable: dict[str, str],
) -> tuple[tuple[int, int], bool]:
    """The one `(H, W)` of all images, or else the usual one, and whether it is that."""
    first_of: dict[tuple[int, int], str] = {}
    for path, size in headers.items():
        first_of.setdefault(size, path)
    sizes = list(first_of)
    if not sizes:
        raise ValueError(_unreadable(root, unreadable))
    if usual_size is not None:
        is_larger = any(a > b for a, b in zip(sizes[0], usual_size, strict=True))
        return (usual_size, True) if len(sizes) > 1 or is_larger else (sizes[0], False)
    if len(sizes) > 1:
        (one, first), (other, second), *_ = first_of.items()
        raise ValueError(
            f"`image_size` is needed for {os.fspath(root)!r}, whose images differ in size "
            f"(H, W): {one} of {first}, {other} of {second}. Received: image_size=None"
        )
    return sizes[0], False


def _unreadable(folder: str | os.PathLike[str], unreadable: dict[str, str]) -> str:
    files = [f"{path} ({reason.rstrip('.')})" for path, reason in sorted(unreadable.items())]
    return (
        "`name` must be a folder whose images can be read; `skip_unreadable=True` leaves out "
        f"those that can't. Received: name={os.fspath(folder)!r}, with {len(files)} that can't: "
        f"{listed(files, 20)}"
    )


def _without(
    unreadable: dict[str, str], classes: dict[str, list[str]], root: Path
) -> dict[str, list[str]]:
    """The files that can be read."""
    kept = {}
    for name, files in classes.items():
        kept[name] = [path for path in files if path not in unreadable]
        if not kept[name]:
            raise ValueError(
                f"Each class must have an image that can be read. Received: class {name!r} in "
                f"{root}, with {listed(files)}"
            )
    return kept


def _notes(root: Path, looked: _Look) -> tuple[str, ...]:
    """What was left out, and what was done to all images."""
    others = Counter(
        path.suffix.lower() or path.name
        for path in root.rglob("*")
        if path.suffix.lower() not in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and path.is_file()
    )
    notes = []
    if others:
        kinds = [f"{count} {kind}" for kind, count in others.most_common()]
        notes.append(f"{_files_of(sum(others.values()))} passed over as no images: {listed(kinds)}")
    if looked.unreadable:
        files = listed(sorted(looked.unreadable))
        notes.append(f"{_files_of(len(looked.unreadable))} left out as unreadable: {files}")
    if looked.resized:
        notes.append("resized to {} x {}, what the network usually takes".format(*looked.size))
    return tuple(notes)


def _files_of(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _subfolders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files(root: Path, folder: Path) -> dict[str, list[str]]:
    """The image files of each class, as sorted paths relative to `root`."""
    classes = {}
    for name in _subfolders(folder):
        files = [path.relative_to(root).as_posix() for path in image_files(folder / name)]
        if not files:
            raise ValueError(
                f"Each class must have an image. Received: no image ({', '.join(SUFFIXES)}) in "
                f"the folder of class {name!r}, {folder / name}"
            )
        classes[name] = files
    if not classes:
        raise ValueError(
            "`name` must be a folder of images with a subfolder for each class. "
            f"Received: no subfolder in {folder}"
        )
    return classes


def _hold_out(
    classes: dict[str, list[str]], root: Path, seed: int, test_share: float
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Shares out each class's files, at random and in their order."""
    rng = np.random.default_rng(seed)
    train, test = {}, {}
    for name, files in classes.items():
        count = max(1, round(test_share * len(files)))
        if count >= len(files):
            raise ValueError(
                f"Each class must have images to train on and to hold out. Received: "
                f"{len(files)} image(s) of class {name!r} in {root}, test_share={test_share!r}"
            )
        chosen = set(rng.permutation(len(files))[:count].tolist())
        train[name] = [file for i, file in enumerate(files) if i not in chosen]
        test[name] = [file for i, file in enumerate(files) if i in chosen]
    return train, test


def _flat(classes: dict[str, list[str]]) -> tuple[list[str], list[int]]:
    """The paths of all classes, in the order of the classes, and their labels."""
    paths = [path for name in sorted(classes) for path in classes[name]]
    labels = [label for label, name in enumerate(sorted(classes)) for _ in classes[name]]
    return paths, labels
