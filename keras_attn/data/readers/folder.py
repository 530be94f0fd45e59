"""A folder of images, with a subfolder for each class."""

import bisect
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_attn.data.encoded import FileSplit
from keras_attn.data.image_dataset import ImageDataset, listed
from keras_attn.data.options import AS_USUAL, Fitting, is_photograph
from keras_attn.data.readers.folder_index import FolderIndex
from keras_attn.images import SUFFIXES
from keras_attn.images.folder import Listing, by_parts, list_folder

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
    how: Fitting = AS_USUAL,
) -> ImageDataset:
    """Reads a folder of images with a subfolder for each class.

    The folder holds either `train/` and one of `test/`, `val/` and `validation/`, with the same
    subfolders each, or the classes' subfolders at once; then `test_share` of each class is held
    out. Images may lie deeper in their class's subfolder. Hidden files and folders, and files that
    are not images by their suffix, are passed over. Images become RGB and upright, as
    `keras_attn.images` reads them. They are decoded here and kept, where they come to at most
    1 GiB; of more, headers are read here and the images when they are needed. Of 1,000 files and
    more, what is known of them is kept in the cache, and a file that is as it was by its size and
    times is not read again.

    Args:
        folder: Folder of the images.
        size: `(H, W)` of the network's images, or `None` for the size that all files have.
        usual_size: `(H, W)` to take without `size` where they differ in size, or are larger than
            this. `None`: they must not differ.
        seed: Seed of the choice of held-out images where the folder doesn't say.
        test_share: Share of each class that is held out where the folder doesn't say; one
            image at least.
        skip_unreadable: Whether to leave out image files that can't be read, all of which are
            then decoded here, once.
        how: How photographs come to `size`.

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
    listing = list_folder(root)
    found = _splits(root, listing.images)
    index = FolderIndex(
        root, [path for split in found for files in split.values() for path in files]
    )
    index.look(decode=skip_unreadable)
    if index.unreadable and not skip_unreadable:
        raise ValueError(_unreadable(folder, index))
    found = [_without(index.unreadable, split, root) for split in found]
    sizes = index.sizes()
    size, notes = _size(root, sizes, size, usual_size)
    is_varied = len(sizes) > 1 or any(is_photograph(own, size) for own in sizes)
    preprocessing = how.of(size, is_varied=is_varied)
    train, test = found if len(found) == 2 else _hold_out(found[0], root, seed, test_share)

    def file_split(classes: dict[str, list[str]]) -> FileSplit:
        paths, labels = _flat(classes)
        split = FileSplit(
            root=root,
            paths=tuple(paths),
            labels=np.array(labels, "int64"),
            preprocessing=preprocessing,
            is_varied=is_varied,
            index=index if index.is_kept else None,
        )
        try:
            split.in_memory()
        except ValueError as error:
            raise ValueError(_unreadable(folder, index)) from error
        return split

    return ImageDataset(
        name=os.fspath(folder),
        class_names=tuple(sorted(train)),
        image_shape=(*size, 3),
        train=file_split(train),
        test=file_split(test),
        seed=seed,
        notes=(*_left_out(listing, index), *notes),
    )


def _splits(root: Path, images: Sequence[str]) -> list[dict[str, list[str]]]:
    """The image files of each class: of both splits, or of a folder that is not split yet."""
    subfolders = _subfolders(root)
    held_out = [name for name in HELD_OUT if name in subfolders]
    if "train" not in subfolders or not held_out:
        return [_files(root, "", images)]
    if len(held_out) > 1:
        raise ValueError(
            f"{root} must hold one of the folders {', '.join(HELD_OUT)} beside train. "
            f"Received: {' and '.join(held_out)}"
        )
    train, test = (_files(root, f"{name}/", images) for name in ("train", held_out[0]))
    for one, other, where in ((train, test, held_out[0]), (test, train, "train")):
        alone = sorted(set(one) - set(other))
        if alone:
            raise ValueError(
                f"{root} must have the same classes in train and in {held_out[0]}. "
                f"Received: no class {alone[0]!r} in {where}"
            )
    return [train, test]


def _size(
    root: Path,
    first_of: dict[tuple[int, int], str],
    size: tuple[int, int] | None,
    usual_size: tuple[int, int] | None,
) -> tuple[tuple[int, int], tuple[str, ...]]:
    """The `(H, W)` that all images become, and a note where the usual one was taken."""
    if size is not None:
        return size, ()
    (one, first), *others = first_of.items()
    if usual_size is not None:
        if others or is_photograph(one, usual_size):
            return usual_size, (
                "images of {} x {}, what the network usually takes".format(*usual_size),
            )
    elif others:
        [(other, second), *_] = others
        raise ValueError(
            f"`image_size` is needed for {os.fspath(root)!r}, whose images differ in size "
            f"(H, W): {one} of {first}, {other} of {second}. Received: image_size=None"
        )
    return one, ()


def _unreadable(folder: str | os.PathLike[str], index: FolderIndex) -> str:
    """What an error says of files that can't be read: of all of them, where they are not many."""
    if not index.is_kept:
        index.look(decode=True)
    files = [f"{path} ({why.rstrip('.')})" for path, why in sorted(index.unreadable.items())]
    return (
        "`name` must be a folder whose images can be read; `skip_unreadable=True` leaves out "
        f"those that can't. Received: name={os.fspath(folder)!r}, with {len(files)} that can't: "
        f"{listed(files, 20)}"
    )


def _without(
    unreadable: dict[str, str], classes: dict[str, list[str]], root: Path
) -> dict[str, list[str]]:
    """The files that can be read."""
    if not unreadable:
        return classes
    kept = {}
    for name, files in classes.items():
        kept[name] = [path for path in files if path not in unreadable]
        if not kept[name]:
            raise ValueError(
                f"Each class must have an image that can be read. Received: class {name!r} in "
                f"{root}, with {listed(files)}"
            )
    return kept


def _left_out(listing: Listing, index: FolderIndex) -> tuple[str, ...]:
    """What is in the folder and not in the data set."""
    notes = []
    if others := listing.others:
        kinds = [f"{count} {kind}" for kind, count in others.most_common()]
        notes.append(f"{_files_of(sum(others.values()))} passed over as no images: {listed(kinds)}")
    if unreadable := index.unreadable:
        files = listed(sorted(unreadable))
        notes.append(f"{_files_of(len(unreadable))} left out as unreadable: {files}")
    return tuple(notes)


def _files_of(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _subfolders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files(root: Path, within: str, images: Sequence[str]) -> dict[str, list[str]]:
    """The image files of each class, as sorted paths relative to `root`.

    Args:
        root: The whole folder.
        within: The folder in it that has the classes, with a `/` at its end, or nothing.
        images: All image files of the whole folder, sorted by their parts.
    """
    classes = {}
    for name in _subfolders(root / within):
        start = f"{within}{name}/"
        first = bisect.bisect_left(images, by_parts(start), key=by_parts)
        end = bisect.bisect_left(images, by_parts(start[:-1]) + "\1", key=by_parts)
        classes[name] = list(images[first:end])
    for name, files in classes.items():
        if not files:
            raise ValueError(
                f"Each class must have an image. Received: no image ({', '.join(SUFFIXES)}) in "
                f"the folder of class {name!r}, {root / within / name}"
            )
    if not classes:
        raise ValueError(
            "`name` must be a folder of images with a subfolder for each class. "
            f"Received: no subfolder in {root / within}"
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
