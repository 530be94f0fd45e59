"""The models that are served: which versions are loaded, and who may ask which.

A new version is loaded and warmed beside the one that serves; only then does the old one go, once
its last request has an answer. What can't be loaded leaves what serves as it is.
"""

import logging
import pathlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from keras_attn.serving.errors import Code, ServingError, invalid_argument, not_found
from keras_attn.serving.lifecycle.servable import Servable, State
from keras_attn.serving.lifecycle.version_policy import ModelEntry
from keras_attn.serving.models.served_model import ServedModel

logger = logging.getLogger(__name__)


class Target(NamedTuple):
    """The model that a request asks, and which of its versions: the latest where it says none."""

    name: str
    version: int | None = None
    label: str | None = None


class ModelManager:
    """The versions of all models: none until it is configured, and none once it has stopped.

    Args:
        loader: Name, version and folder -> the loaded model.
        max_load_retries: How often a failed load is tried again though nothing has changed.
        load_retry_seconds: How long to wait before.
        allow_labels_for_unavailable: Whether a label that is new may name a version that is not
            loaded (yet).
    """

    def __init__(
        self,
        loader: Callable[..., ServedModel] = ServedModel,
        *,
        max_load_retries: int = 5,
        load_retry_seconds: float = 60.0,
        allow_labels_for_unavailable: bool = False,
    ):
        self._loader = loader
        self._max_load_retries = max_load_retries
        self._load_retry_seconds = load_retry_seconds
        self._allow_labels_for_unavailable = allow_labels_for_unavailable
        self._entries: dict[str, ModelEntry] = {}
        self._labels: dict[str, dict[str, int]] = {}
        # Replaced as a whole, never changed: requests read it without a lock.
        self._servables: dict[str, dict[int, Servable]] = {}
        self._changes = threading.RLock()
        self._warned: set[tuple[str, str]] = set()

    def __enter__(self) -> "ModelManager":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def entries(self) -> list[ModelEntry]:
        """What it was told to serve."""
        return list(self._entries.values())

    def knows(self, name: str) -> bool:
        """Whether it was told to serve a model of this name."""
        return name in self._entries

    def configure(self, entries: Sequence[ModelEntry]) -> None:
        """Serves these models from now on, and returns once the new ones are loaded.

        Models that are no more among them are unloaded. ServingError tells of labels that can't
        be assigned, and then nothing has changed; and of new models of which no version loads.
        """
        with self._changes:
            labels = self._checked_labels(entries)
            new = [entry for entry in entries if entry.name not in self._entries]
            self._labels = labels
            self._entries = {entry.name: entry for entry in entries}
            for name in set(self._servables) - set(self._entries):
                for servable in self._servables[name].values():
                    servable.retire()
            self.poll()
            missing = [entry for entry in new if not self._available(entry.name)]
            if missing:
                reasons = ", ".join(f"{{{self._why_missing(entry)}}}" for entry in missing)
                raise ServingError(
                    Code.UNKNOWN,
                    f"{len(missing)} model(s) did not become available: {{{reasons}}}",
                )

    def poll(self) -> None:
        """Looks at the folders once, and loads and unloads what has come and gone."""
        with self._changes:
            for entry in self._entries.values():
                try:
                    self._reconcile(entry)
                except OSError as error:
                    self._warn(entry.name, f"{entry.base_path} can't be read: {error}")

    def stop(self) -> None:
        """Unloads everything once it has answered."""
        with self._changes:
            for versions in self._servables.values():
                for servable in versions.values():
                    servable.retire()

    @contextmanager
    def use(self, target: Target) -> Iterator[ServedModel]:
        """The model of a request, which stays loaded meanwhile. NOT_FOUND where there is none."""
        servable, model = self._acquire(target)
        try:
            yield model
        finally:
            servable.release()

    def statuses(self, target: Target) -> list[Servable]:
        """Returns what is known of one version, or of each, from the highest to the lowest."""
        versions = self._servables.get(target.name, {})
        if target.version is None:
            if not versions:
                raise not_found(f"Could not find any versions of model {target.name}")
            return [versions[number] for number in sorted(versions, reverse=True)]
        if target.version not in versions:
            raise not_found(f"Could not find version {target.version} of model {target.name}")
        return [versions[target.version]]

    def resolve_label(self, name: str, label: str) -> int:
        """Returns the version that a label names."""
        version = self._labels.get(name, {}).get(label)
        if version is None:
            raise invalid_argument(f"Unrecognized servable version label: {label}")
        return version

    def _acquire(self, target: Target) -> tuple[Servable, ServedModel]:
        if not target.name:
            raise invalid_argument("ModelSpec has no name specified.")
        version = target.version
        if target.label is not None:
            version = self.resolve_label(target.name, target.label)
        while True:
            seen = self._servables
            versions = seen.get(target.name, {})
            for number in [version] if version is not None else sorted(versions, reverse=True):
                servable = versions.get(number)
                model = servable.acquire() if servable is not None else None
                if servable is not None and model is not None:
                    return servable, model
            if seen is self._servables:
                break  # else a switch came between: look again
        if version is not None:
            asked = f"Specific({target.name}, {version})"
        else:
            asked = f"Latest({target.name})"
        raise not_found(f"Servable not found for request: {asked}")

    def _reconcile(self, entry: ModelEntry) -> None:
        """Unloads and loads, one after the other, as TF Serving's availability preserving policy.

        With nothing found it leaves what serves as it is, where TF Serving unloads it.
        """
        wanted = entry.find()
        if not wanted:
            self._warn(entry.name, f"{entry.base_path} has no version to serve; what serves stays")
            return
        self._warned = {key for key in self._warned if key[0] != entry.name}
        new = [number for number in wanted if self._is_new(entry.name, number, wanted[number])]
        while True:
            ready = self._available(entry.name)
            unwanted = [number for number in ready if number not in wanted]
            if unwanted and (len(unwanted) < len(ready) or len(unwanted) > 1):
                number = min(unwanted)
                logger.info("version %d of %s goes", number, entry.name)
                self._servables[entry.name][number].retire()
            elif new:
                self._load(entry.name, number := new.pop(), wanted[number])
            else:
                break
        if not ready:
            self._fall_back(entry)

    def _fall_back(self, entry: ModelEntry) -> None:
        """Serves an older version where none of those that should be served can be loaded.

        TF Serving has nothing to serve then. A server that starts while a new version is copied
        would end, though those that run go on with the version before.
        """
        for number, folder in entry.older().items():
            if self._is_new(entry.name, number, folder):
                self._load(entry.name, number, folder)
            if self._available(entry.name):
                logger.error("%s is served by its older version %d", entry.name, number)
                return

    def _load(self, name: str, version: int, folder: pathlib.Path) -> None:
        servable = self._servables.get(name, {}).get(version)
        if servable is None or servable.error is None or servable.folder != folder:
            servable = Servable(name, version, folder)
            versions = {**self._servables.get(name, {}), version: servable}
            self._servables = {**self._servables, name: versions}
        loaded = servable.load(lambda path: self._loader(path, name=name, version=version))
        if not loaded and self._available(name):
            logger.error("%s goes on with %s", name, _versions(self._available(name)))
        # A new dict, so that a request that saw the old state looks again.
        self._servables = {**self._servables, name: dict(self._servables[name])}

    def _is_new(self, name: str, version: int, folder: pathlib.Path) -> bool:
        servable = self._servables.get(name, {}).get(version)
        if servable is None or (servable.state == State.END and servable.error is None):
            return True
        return servable.error is not None and (
            servable.folder != folder
            or servable.may_retry(
                max_retries=self._max_load_retries, interval=self._load_retry_seconds
            )
        )

    def _available(self, name: str) -> list[int]:
        versions = self._servables.get(name, {})
        return sorted(n for n, servable in versions.items() if servable.state == State.AVAILABLE)

    def _checked_labels(self, entries: Sequence[ModelEntry]) -> dict[str, dict[str, int]]:
        for entry in entries:
            available = self._available(entry.name)
            known = self._labels.get(entry.name, {})
            for label, version in entry.labels.items():
                unused = known.get(label, version) == version
                if version in available or (unused and self._allow_labels_for_unavailable):
                    continue
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model {entry.name}, "
                    "which is not currently available for inference",
                )
        return {entry.name: dict(entry.labels) for entry in entries}

    def _why_missing(self, entry: ModelEntry) -> str:
        errors = [s.error.message for s in self._servables.get(entry.name, {}).values() if s.error]
        reason = errors[0] if errors else f"no version to serve is in {entry.base_path}"
        return f"{entry.name} due to error: {reason}"

    def _warn(self, name: str, message: str) -> None:
        """Once, not at every poll."""
        if (name, message) not in self._warned:
            self._warned.add((name, message))
            logger.error("%s: %s", name, message)


def _versions(numbers: Sequence[int]) -> str:
    return ("version " if len(numbers) == 1 else "versions ") + ", ".join(map(str, numbers))
