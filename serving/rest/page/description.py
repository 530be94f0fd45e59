"""What an export says of itself, in files beside its graph; any of them may be missing."""

import json
import pathlib
import urllib.parse
from typing import Any

from keras_attn.serving.errors import not_found
from keras_attn.serving.models.served_model import ServedModel

CARD = "assets/model_card.md"
LABELS = "assets/labels.txt"
REPORT = "assets.extra/export_report.json"
SAMPLES = "assets.extra/samples"
MAX_BYTES = 4 * 2**20  # of one of these files
MAX_SAMPLES = 64


def describe(model: ServedModel) -> dict[str, Any]:
    """Gives what the page shows of a model.

    Args:
        model: The model.

    Returns:
        `name`, `version`, `card` (Markdown), `class_names`, `preprocessing`, `attention` (the
        forms of the layers' attention, in their order) and `samples`, each with `name` and `url`,
        relative to the page. `None` is what isn't known.
    """
    text = _text(model.folder / REPORT)
    try:
        report = json.loads(text or "{}")
    except ValueError:
        report = {}
    labels = _text(model.folder / LABELS)
    base = f"models/{urllib.parse.quote(model.name, safe='')}/versions/{model.version}/samples/"
    return {
        "name": model.name,
        "version": model.version,
        "card": _text(model.folder / CARD),
        "class_names": None if labels is None else labels.splitlines(),
        "preprocessing": _member(report, "preprocessing"),
        "attention": _member(report, "attention"),
        "samples": [
            {"name": _title(file), "url": base + urllib.parse.quote(file.name)}
            for file in sample_files(model.folder)
        ],
    }


def sample_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The JPEGs that came with a version, sorted by their names.

    Args:
        folder: The version's.
    """
    try:
        files = sorted((folder / SAMPLES).iterdir())
    except OSError:
        return []
    found = [file for file in files if file.suffix == ".jpg" and _is_plain(file)]
    return found[:MAX_SAMPLES]


def read_sample(folder: pathlib.Path, name: str) -> bytes:
    """Reads one of them. NOT_FOUND where there is none of that name.

    Args:
        folder: The version's.
        name: The file's name, which a client has sent: it is looked for among those there are.
    """
    for file in sample_files(folder):
        if file.name == name:
            return file.read_bytes()
    raise not_found(f"There is no sample image {name}")


def _title(sample: pathlib.Path) -> str:
    """Of `00_red_flower.jpg` "red flower", of `00.jpg` "sample 00"."""
    number, _, words = sample.stem.partition("_")
    return words.replace("_", " ") if words else f"sample {number}"


def _text(path: pathlib.Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if _is_plain(path) else None


def _is_plain(path: pathlib.Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_BYTES


def _member(report: Any, name: str) -> dict[str, Any] | None:
    value = report.get(name) if isinstance(report, dict) else None
    return value if isinstance(value, dict) else None
