"""The files of a run's folder: what they are called, written whole, and removed by name alone."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_attn._staging import written_whole

MODEL_FILE = "model.keras"
HISTORY_FILE = "history.csv"
RUN_FILE = "run.json"
BEST_FILE = "best.keras"
FINETUNE_FILE = "finetune.json"
DESCRIPTION_FILE = "description.json"  # of an unfinished training, in its folder
UNFINISHED = "unfinished"  # folder in a run's folder, for as long as the training has not ended
RUN_FILES = (MODEL_FILE, HISTORY_FILE, RUN_FILE, BEST_FILE)


def check_run_folder(folder: Path) -> None:
    """Raises a FileNotFoundError unless a folder has a run's model and record."""
    rule = (
        f"`folder` must be the folder of a run, as `train` writes it. Received: folder='{folder}'"
    )
    if not folder.is_dir():
        raise FileNotFoundError(f"{rule}, which is not there")
    for name in (RUN_FILE, MODEL_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{rule}, which has no {name}")


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """Gives another path to write a file to, which is moved into place at the end, or not at all.

    Raises:
        OSError: If it can't be written; the message names it.
    """
    try:
        with written_whole(path) as beside:
            yield beside
    except OSError as error:
        raise OSError(
            error.errno, f"{path} could not be written: {error.strerror or error}"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole, or leaves what was there.

    Raises:
        OSError: If it can't be written; the message names it.
    """
    with written(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")


def read_text(path: Path) -> str:
    """Reads a text file.

    Raises:
        OSError: If it can't be read; the message names it.
        ValueError: If it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file: {error}") from error


def remove(folder: Path, patterns: Sequence[str]) -> None:
    """Removes the files of these names from a folder, and the folder if nothing else is in it.

    What isn't named is somebody else's, and stays.
    """
    if not folder.is_dir() or folder.is_symlink():
        return
    for pattern in patterns:
        for path in folder.glob(pattern):
            if not path.is_dir():
                path.unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError:
        return
