"""The image files of a folder."""

import dataclasses
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


@dataclasses.dataclass(frozen=True)
class Listing:
    """What is in a folder and below it.

    Attributes:
        images: The image files, as paths relative to the folder with `/`, sorted by their parts.
        others: Suffix, or the name where there is none -> number of other files.
    """

    images: tuple[str, ...]
    others: Counter[str]


def image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files in a folder and below it, sorted.

    Files that are not images by their suffix are passed over, and so is what is hidden:
    `.DS_Store`, `._1.png`, and all that lies in a folder such as `.ipynb_checkpoints`.

    Args:
        folder: The folder. What it is called itself doesn't matter.
    """
    folder = Path(folder)
    return [folder / path for path in list_folder(folder).images]


def list_folder(folder: str | os.PathLike[str]) -> Listing:
    """Lists a folder and the folders below it, several of them at a time.

    Args:
        folder: The folder. Links to files count as files, those to folders are not followed.
    """
    root = os.fspath(folder)
    images, others = [], Counter[str]()
    waiting = [""] if os.path.isdir(root) else []
    with ThreadPoolExecutor() as threads:  # a slow disk or a network answers many at once
        while waiting:
            below: list[str] = []
            for folders, found, left in threads.map(lambda path: _list_one(root, path), waiting):
                below += folders
                images += found
                others += left
            waiting = below
    images.sort(key=by_parts)
    return Listing(tuple(images), others)


def by_parts(path: str) -> str:
    """What sorts paths by their parts: a text, which is compared faster than a list of them."""
    return path.replace("/", "\0")


def _list_one(root: str, path: str) -> tuple[list[str], list[str], Counter[str]]:
    """The folders, the images and the other files that lie in a folder itself."""
    folders, images, others = [], [], Counter[str]()
    before = f"{path}/" if path else ""
    with os.scandir(f"{root}/{path}" if path else root) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            suffix = os.path.splitext(name)[1].lower()
            if entry.is_dir(follow_symlinks=False):
                folders.append(before + name)
            elif entry.is_file():
                if suffix in SUFFIXES:
                    images.append(before + name)
                else:
                    others[suffix or name] += 1
    return folders, images, others
