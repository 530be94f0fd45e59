"""What a run's record says of its network, each part checked when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_attn._keras import classified
from keras_attn.images import Preprocessing


class RunRecord(dict[str, Any]):
    """What `run.json` holds. What it lacks is an error that names the file.

    Args:
        values: The contents.
        file: The file.
        path: The keys that lead to these values.
    """

    def __init__(self, values: dict[str, Any], file: Path, path: tuple[str, ...] = ()) -> None:
        super().__init__(
            (key, RunRecord(value, file, (*path, key)) if isinstance(value, dict) else value)
            for key, value in values.items()
        )
        self._file, self._path = file, path

    def __missing__(self, key: str) -> Any:
        name = ".".join((*self._path, key))
        raise ValueError(f"{self._file} is not a run's: it has no `{name}`")

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

    def preprocessing(self) -> Preprocessing:
        """`data.preprocessing`; of a run of a version that resized whole images, that."""
        size = self.image_shape()[:2]
        values = self["data"].get("preprocessing")
        if values is None:
            return Preprocessing(size)
        try:
            return Preprocessing(**{**values, "size": size})
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self._file}: `data.preprocessing` is wrong: {error}") from error

    def data_options(self) -> dict[str, Any]:
        """`data.options`, with which the data are read again as they were."""
        how = self.preprocessing()
        said = {"squash": how.crop is None, "crop": how.crop, "interpolation": how.interpolation}
        return {**self["data"]["options"], **said}

    def class_names(self, model: Any) -> tuple[str, ...]:
        """`data.class_names`, of which there must be as many as the model has classes."""
        names, classes = self["data"]["class_names"], classified(model).shape[-1]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(
                f"{self._file}: `data.class_names` must be strings. Received: {names!r}"
            )
        if len(names) != classes:
            raise ValueError(
                f"{self._file}: `data.class_names` must have a name for each of {classes} classes. "
                f"Received: {len(names)}"
            )
        return tuple(names)
