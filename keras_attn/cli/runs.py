"""A run's folder, as the commands that begin with one read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_attn.cli.library import import_library
from keras_attn.training.run_folder.files import check_run_folder


class Record(dict[str, Any]):
    """What `run.json` holds. What it lacks is an error that names the file.

    Args:
        values: The contents.
        file: The file.
        path: The keys that lead to these values.
    """

    def __init__(self, values: dict[str, Any], file: Path, path: tuple[str, ...] = ()) -> None:
        super().__init__(
            (key, Record(value, file, (*path, key)) if isinstance(value, dict) else value)
            for key, value in values.items()
        )
        self._file, self._path = file, path

    def __missing__(self, key: str) -> Any:
        raise ValueError(f"{self._file} is not a run's: it has no `{self._name(key)}`")

    def image_shape(self) -> tuple[int, int, int]:
        """`data.image_shape`, which must be the shape of an image."""
        shape = self["data"]["image_shape"]
        sizes = [x for x in shape if type(x) is int and x > 0] if isinstance(shape, list) else []
        if len(sizes) != 3 or len(shape) != 3:
            raise ValueError(
                f"{self._file}: `data.image_shape` must be three positive integers. "
                f"Received: {shape!r}"
            )
        return (sizes[0], sizes[1], sizes[2])

    def class_names(self, model: Any) -> list[str]:
        """`data.class_names`, of which there must be as many as the model has classes."""
        names, classes = self["data"]["class_names"], model.outputs[0].shape[-1]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(
                f"{self._file}: `data.class_names` must be strings. Received: {names!r}"
            )
        if len(names) != classes:
            raise ValueError(
                f"{self._file}: `data.class_names` must have a name for each of {classes} classes. "
                f"Received: {len(names)}"
            )
        return names

    def _name(self, key: str) -> str:
        return ".".join((*self._path, key))


def check_run(folder: str) -> None:
    """Raises a FileNotFoundError unless the folder has the files of a run."""
    check_run_folder(Path(folder))


def load_run(folder: str) -> tuple[Any, Record]:
    """The model of a run, and its record.

    Raises:
        FileNotFoundError: If the folder, or a file in it, isn't there.
        ValueError: If a file can't be read.
    """
    check_run(folder)
    import_library()
    from keras_attn.training.run_folder.runs import load_run as load

    model, record = load(folder)
    return model, Record(record, Path(folder, "run.json"))
