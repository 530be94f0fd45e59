"""The image files of a folder."""

import os
from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files in a folder and below it, sorted.

    Files that are not images by their suffix are passed over, and so is what is hidden:
    `.DS_Store`, `._1.png`, and all that lies in a folder such as `.ipynb_checkpoints`.

    Args:
        folder: The folder. What it is called itself doesn't matter.
    """
    folder = Path(folder)
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
