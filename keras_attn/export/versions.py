"""The version folders of a model, as TF Serving reads them: `path/<integer>/`."""

import os
import pathlib
import re


def find_versions(path: str | os.PathLike[str]) -> dict[int, pathlib.Path]:
    """Returns what has an integer for a name in `path`, from the lowest version to the highest.

    Names of another kind (a temporary folder, a note) are no versions and are passed over.

    Args:
        path: The base folder of a model. It need not exist.
    """
    base = pathlib.Path(path)
    if not base.is_dir():
        return {}
    names = [entry for entry in base.iterdir() if re.fullmatch("[0-9]+", entry.name)]
    return {int(entry.name): entry for entry in sorted(names, key=lambda entry: int(entry.name))}
