"""The one place that downloads: a cache, files that are completed, hashes, a mirror.

- Files are kept in `~/.cache/keras_attn`, or in `KERAS_ATTN_CACHE`; those of the Hugging Face hub
  in its own cache (`HF_HOME`).
- `KERAS_ATTN_MIRROR=https://mirror.example` asks `https://mirror.example/<host>/<path>` instead of
  `https://<host>/<path>`.
- `HF_HUB_OFFLINE=1` opens no connection, whatever the source.
- Of several processes that want one file, one downloads it and the others wait.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import filelock

from keras_attn._staging import cache_folder
from keras_attn.weights.metadata import RemoteFile

LOGGER = logging.getLogger("keras_attn")
CHUNK = 1 << 20
TIMEOUT = 30.0  # seconds without a byte


class DownloadError(RuntimeError):
    """A file of weights could not be had; the message says what to do."""


class MissingError(DownloadError):
    """Its source has no such file."""


def fetch(file: RemoteFile) -> Path:
    """Returns the file, from the cache or from its source, after comparing its hash.

    A download that was interrupted goes on where it stopped.

    Args:
        file: The file, and where it is.

    Returns:
        The path of the complete file.

    Raises:
        DownloadError: If the file can't be had, is cut, or isn't the one of that hash.
    """
    if file.by_hand:
        raise DownloadError(
            f"These weights can't be fetched by a program. Download {file.url} in a browser, and "
            "give the file's path as `weights`."
        )
    if file.url.startswith("file://"):
        path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(file.url).path))
        if not path.is_file():
            raise DownloadError(f"{path} is missing. Install keras-attn anew, it brings the file.")
        _check_hash(path, file.sha256, file)
        return path
    if file.url.startswith("hf://"):
        path = _from_hub(file)
        digits = file.sha256 or _hash_of_the_hub(path)
        if not is_offline() and not _is_right(path, replace(file, sha256=digits)):
            path = _from_hub(file, again=True)
        _check_hash(path, digits, file)
        return path
    path = cache_folder() / _name_in_cache(file.url)
    if _is_right(path, file):
        return path
    if is_offline():
        raise DownloadError(f"HF_HUB_OFFLINE forbids to download {file.url}. {_advice(file)}")
    with _alone(path):
        if _is_right(path, file):  # another process was faster
            return path
        partial = path.with_name(f"{path.name}.partial")
        validator = path.with_name(f"{path.name}.validator")
        _download(mirrored(file.url), partial, validator, file)
        validator.unlink(missing_ok=True)
        try:
            _check_hash(partial, file.sha256, file)
        except DownloadError:
            partial.unlink()
            raise
        os.replace(partial, path)
        return path


def _is_right(path: Path, file: RemoteFile) -> bool:
    """Whether the cache has the file; a wrong one, which is said, is as good as none."""
    if not path.is_file():
        return False
    try:
        _check_hash(path, file.sha256, file)
    except DownloadError as error:
        if is_offline():
            raise
        LOGGER.warning("%s It is fetched again.", error)
        return False
    return True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time for a file of the cache; the lock ends with its process."""
    locks = path.parent / ".locks"  # they stay: one that goes while others wait for it is two
    locks.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(locks / path.name)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        LOGGER.warning("Another process downloads %s; waiting for it", path.name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_offline() -> bool:
    """Whether `HF_HUB_OFFLINE` forbids connections."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def mirrored(url: str) -> str:
    """The address that is asked: the file's own, or that at `KERAS_ATTN_MIRROR`."""
    mirror = os.environ.get("KERAS_ATTN_MIRROR", "").rstrip("/")
    return f"{mirror}/{url.partition('://')[2]}" if mirror else url


def _name_in_cache(url: str) -> str:
    """The file's own name, behind what tells apart two of the same name."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rsplit("/", 1)[-1])
    safe = re.sub(r"[^\w.-]", "_", name)
    return f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{safe}"


def _download(url: str, partial: Path, validator: Path, file: RemoteFile) -> None:
    """Fetches a file, or the rest of it.

    Args:
        url: Address that is asked.
        partial: Path that the file goes to, and where its beginning may be.
        validator: Path where the source's mark of this very version is kept, so that the rest is of
            the same one.
        file: The file that is downloaded.
    """
    for path in (partial, validator):
        if path.is_symlink():  # who made it, chose where we would write
            path.unlink()
    have = partial.stat().st_size if partial.is_file() else 0
    mark = validator.read_text(encoding="latin-1") if validator.is_file() else ""
    if not mark and file.sha256 is None:
        have = 0  # nothing would tell that the rest is of another version
    request = urllib.request.Request(url, headers={"User-Agent": "keras_attn"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if mark:
            request.add_header("If-Range", mark)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            resumed = answer.status == 206
            expected = answer.headers.get("Content-Length")
            total = None if expected is None else int(expected) + (have if resumed else 0)
            size = "" if total is None else f" ({total / 1e6:.0f} MB)"
            LOGGER.warning("Downloading %s%s into %s", url, size, partial.parent)
            tag = answer.headers.get("ETag", "")
            mark = answer.headers.get("Last-Modified", "") if tag[:2] in ("", "W/") else tag
            validator.write_text(mark, encoding="latin-1")
            got, tenths = have if resumed else 0, 0
            with partial.open("ab" if resumed else "wb") as out:
                while chunk := answer.read(CHUNK):
                    out.write(chunk)
                    got += len(chunk)
                    if total and 10 * got // total > tenths:
                        tenths = 10 * got // total
                        LOGGER.info("Downloaded %d %%", 10 * tenths)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send
            whole = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            if whole == str(have):
                return
            partial.unlink()
            raise DownloadError(
                f"What was downloaded of {url} is no part of it, and was deleted. Try again."
            ) from error
        raise DownloadError(
            f"{url} answers {error.code} {error.reason}. {_advice(file)}"
        ) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DownloadError(f"{url} could not be reached: {error}. {_advice(file)}") from error
    got = partial.stat().st_size
    if total is not None and got != total:
        raise DownloadError(
            f"{url} stopped after {got} of {total} bytes. Try again: the download goes on there."
        )


def _from_hub(file: RemoteFile, *, again: bool = False) -> Path:
    owner, name, path = file.url.removeprefix("hf://").split("/", 2)
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError as error:
        raise ImportError(
            f"{file.url} is on the Hugging Face hub, which needs the package huggingface_hub: "
            "pip install 'keras-attn[hub]'."
        ) from error
    mirror = os.environ.get("KERAS_ATTN_MIRROR", "").rstrip("/")
    try:
        return Path(
            huggingface_hub.hf_hub_download(
                f"{owner}/{name}",
                path,
                endpoint=f"{mirror}/huggingface.co" if mirror else None,
                local_files_only=is_offline(),
                force_download=again,
            )
        )
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        reason = "HF_HUB_OFFLINE forbids to ask for it" if is_offline() else str(error)
        reason = reason.strip().splitlines()[0] if reason.strip() else type(error).__name__
        missing = isinstance(error, errors.EntryNotFoundError)
        missing = missing and not isinstance(error, errors.LocalEntryNotFoundError)
        kind = MissingError if missing else DownloadError
        raise kind(f"{file.url} could not be had: {reason} {_advice(file)}") from error


def _hash_of_the_hub(path: Path) -> str | None:
    """The SHA-256 by which the hub's cache names a large file, if it does."""
    name = path.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else None


def _check_hash(path: Path, expected: str | None, file: RemoteFile) -> None:
    if expected is None:
        return
    name, _, digits = expected.rpartition(":")
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, name or "sha256").hexdigest()
    if found.startswith(digits):
        return
    raise DownloadError(
        f"{path} is not the file that was published: its {name or 'sha256'} is {found}, and not "
        f"{digits}... Delete it if it is still there, and try again, to have {file.url} anew."
    )


def _advice(file: RemoteFile) -> str:
    url = file.url
    if url.startswith("hf://"):
        owner, name, path = url.removeprefix("hf://").split("/", 2)
        url = f"https://huggingface.co/{owner}/{name}/resolve/main/{path}"
    return (
        f"Download {url} where there is a network, and give the file's path as `weights`; or set "
        "KERAS_ATTN_MIRROR to a mirror of it; or weights=None for a network without weights."
    )
