"""Which versions of a model should be served: those of its folder that its policy picks."""

import dataclasses
import pathlib
from collections.abc import Mapping

from keras_attn._versions import find_versions


@dataclasses.dataclass(frozen=True)
class VersionPolicy:
    """One of TF Serving's three: the latest, all, or those that are named.

    Args:
        latest: How many of the highest. Ignored where `specific` is given.
        specific: Exactly these.
    """

    latest: int | None = 1
    specific: frozenset[int] | None = None

    def pick(self, versions: Mapping[int, pathlib.Path]) -> dict[int, pathlib.Path]:
        """Returns the versions to serve, from the lowest to the highest."""
        numbers = sorted(versions)
        if self.specific is not None:
            numbers = [number for number in numbers if number in self.specific]
        elif self.latest is not None:
            numbers = numbers[-max(self.latest, 1) :]
        return {number: versions[number] for number in numbers}


LATEST = VersionPolicy()
ALL = VersionPolicy(latest=None)


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """What a server is told of one model.

    Args:
        name: Name of the model for clients.
        base_path: The folder of its version folders.
        policy: Which of them to serve.
        labels: Versions by the names that clients may give instead.
    """

    name: str
    base_path: pathlib.Path
    policy: VersionPolicy = LATEST
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def older(self) -> dict[int, pathlib.Path]:
        """Returns what can stand in for the latest versions, from the highest to the lowest."""
        if self.policy.latest is None or self.policy.specific is not None:
            return {}
        versions = find_versions(self.base_path)
        rest = sorted(set(versions) - set(self.policy.pick(versions)), reverse=True)
        return {number: versions[number] for number in rest}

    def find(self) -> dict[int, pathlib.Path]:
        """Returns the folders of the versions that should be served now."""
        return self.policy.pick(find_versions(self.base_path))


def fingerprint(folder: pathlib.Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of each file: another value where a copy went on or was mended."""
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            stat = path.stat()
        except OSError:  # gone since it was listed
            continue
        found.append((path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns))
    return tuple(found)
