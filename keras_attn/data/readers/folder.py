"""A folder of images, with a subfolder for each class."""

import os
from pathlib import Path

import numpy as np

from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.splits import FileSplit
from keras_attn.images import SUFFIXES, image_files, image_size

HELD_OUT = ("test", "val", "validation")
TEST_SHARE = 0.2


def read_folder(
    folder: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    test_share: float = TEST_SHARE,
) -> ImageDataset:
    """Reads a folder of images with a subfolder for each class.

    The folder holds either `train/` and one of `test/`, `val/` and `validation/`, with the same
    subfolders each, or the classes' subfolders at once; then `test_share` of each class is held
    out. Images may lie deeper in their class's subfolder. Hidden files and folders, and files that
    are not images by their suffix, are passed over. Images become RGB and upright, as
    `keras_attn.images` reads them.

    Args:
        folder: Folder of the images.
        size: `(H, W)` to which images are resized (bilinear, the whole image, so that its
            proportions may change), or `None` for the size that they all have.
        seed: Seed of the choice of held-out images where the folder doesn't say.
        test_share: Share of each class that is held out where the folder doesn't say; one
            image at least.

    Returns:
        An `ImageDataset` of `FileSplit`s, its classes in the order of their sorted names.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there are no images, a class has none or too few, a class is in one split
            only, a file is not an image, or the images differ in size and `size` is `None`. The
            message names the file or the class.
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
    subfolders = _subfolders(root)
    held_out = [name for name in HELD_OUT if name in subfolders]
    if "train" in subfolders and held_out:
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
    else:
        train, test = _hold_out(_files(root, root), root, seed, test_share)
    sizes = _image_sizes(root, [path for split in (train, test) for path in _flat(split)[0]], size)
    class_names = tuple(sorted(train))
    splits = {}
    for which, split in (("train", train), ("test", test)):
        paths, labels = _flat(split)
        splits[which] = FileSplit(root, tuple(paths), np.array(labels, "int64"), sizes)
    return ImageDataset(
        name=os.fspath(folder),
        class_names=class_names,
        image_shape=(*sizes, 3),
        train=splits["train"],
        test=splits["test"],
        seed=seed,
    )


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


def _image_sizes(root: Path, paths: list[str], size: tuple[int, int] | None) -> tuple[int, int]:
    """`size`, or the one `(H, W)` of all images; looks into every file's header."""
    found: dict[tuple[int, int], str] = {}
    for path in paths:
        found.setdefault(image_size(root / path), path)
        if size is None and len(found) > 1:
            (one, first), (other, second) = found.items()
            raise ValueError(
                f"`image_size` is needed for {os.fspath(root)!r}, whose images differ in size "
                f"(H, W): {one} of {first}, {other} of {second}. Received: image_size=None"
            )
    return size or next(iter(found))
