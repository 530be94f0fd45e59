"""Files of weights that mean harm, and downloads that meet or are killed."""

from __future__ import annotations

import hashlib
import http.server
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.reliability.hostile_files import FILES
from benchmarks.reliability.reader import MOST_MIB, MOST_SECONDS, Reader
from benchmarks.reliability.trial import Trial, progress

PART = "weights"
QUICK_FILES = 6
DATA = random.Random(0).randbytes(8 << 20)
SHA256 = hashlib.sha256(DATA).hexdigest()
SECONDS = 1.5  # that the server takes for it


def trials(folder: Path, *, quick: bool, long: bool = False) -> Iterator[Trial]:
    """Runs the trials.

    Args:
        folder: Where the files are written, one at a time.
        quick: Some seconds of them only.
        long: More pairs of downloads, and more kills.
    """
    yield _hostile_files(
        folder, list(FILES)[:: len(FILES) // QUICK_FILES] if quick else list(FILES)
    )
    if not quick:
        pairs = 4 if long else 2
        for ranges in (True, False):
            for sha256 in (SHA256, None):
                yield _pairs(folder / f"pairs-{ranges}-{sha256 is None}", pairs, ranges, sha256)
        yield _kills(folder / "kills", 12 if long else 4)


def _hostile_files(folder: Path, names: list[str]) -> Trial:
    """Each is refused by a ValueError that names it, in time and memory, and nothing is set."""
    start = time.monotonic()
    reader = Reader()
    survived = lost = wrong = 0
    notes = []
    for index, name in enumerate(names):
        progress(PART, name, index, len(names))
        path = folder / name
        FILES[name](path)
        answer = reader.read(path)
        is_lost = (
            answer["error"] == "killed"
            or answer["seconds"] > MOST_SECONDS
            or answer["mib"] > MOST_MIB
        )
        is_wrong = not is_lost and (
            answer["error"] != "ValueError" or answer["changed"] or name not in answer["message"]
        )
        lost, wrong = lost + is_lost, wrong + is_wrong
        survived += not (is_lost or is_wrong)
        if is_lost or is_wrong:
            notes.append(
                f"{name}: {answer['error']} {answer['message'][:80]} "
                f"{answer['seconds']:.1f} s {answer['mib']:.0f} MiB"
            )
        path.unlink()
    reader.close()
    name = "files that ask for memory or time, or hold what no network takes"
    seconds = round(time.monotonic() - start, 1)
    return Trial(PART, name, len(names), survived, lost, wrong, seconds, "; ".join(notes))


def _pairs(folder: Path, count: int, ranges: bool, sha256: str | None) -> Trial:
    """Two processes that want one file, the second up to 1.6 s later: both have the right one."""
    name = (
        f"pairs of downloads, {'with' if ranges else 'without'} ranges, "
        f"hash {'known' if sha256 else 'unknown'}"
    )
    start = time.monotonic()
    survived, note = 0, ""
    with _mirror(ranges) as url:
        for index in range(count):
            progress(PART, name, index, count)
            cache = folder / str(index)
            both = [_fetch(url, sha256, cache)]
            time.sleep(1.6 * (index + 1) / count)
            both.append(_fetch(url, sha256, cache))
            answers = [process.communicate()[0].strip() for process in both]
            files = [path.read_bytes() for path in cache.glob("*-weights.bin")]
            right = answers == [SHA256, SHA256] and files == [DATA]
            survived += right
            note = note or ("" if right else f"{answers}, {len(files)} files")
    seconds = round(time.monotonic() - start, 1)
    return Trial(PART, name, count, survived, count - survived, 0, seconds, note)


def _kills(folder: Path, count: int) -> Trial:
    """A download that is killed, and then asked for again: the file is right."""
    name = "downloads killed at random moments"
    start = time.monotonic()
    survived, note = 0, ""
    moments = random.Random(1)
    with _mirror(ranges=True) as url:
        for index in range(count):
            progress(PART, name, index, count)
            cache, sha256 = folder / str(index), SHA256 if index % 2 else None
            process = _fetch(url, sha256, cache)
            end = time.monotonic() + 60
            while not list(cache.glob("*.partial")) and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(moments.uniform(0, SECONDS))
            process.kill()
            process.communicate()
            answer = _fetch(url, sha256, cache).communicate()[0].strip()
            right = answer == SHA256 and [p.read_bytes() for p in cache.glob("*.bin")] == [DATA]
            survived += right
            note = note or ("" if right else answer[-100:])
    seconds = round(time.monotonic() - start, 1)
    return Trial(PART, name, count, survived, count - survived, 0, seconds, note)


CHILD = """
import hashlib, sys
from keras_attn.weights.download import fetch
from keras_attn.weights.metadata import RemoteFile
path = fetch(RemoteFile(sys.argv[1], sys.argv[2] or None))
print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def _fetch(url: str, sha256: str | None, cache: Path) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "KERAS_ATTN_CACHE": str(cache),
        "no_proxy": "127.0.0.1",
        "PYTHONPATH": os.getcwd(),
    }
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, f"{url}/weights.bin", sha256 or ""],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


class _Handler(http.server.BaseHTTPRequestHandler):
    """Sends `DATA` slowly, and its rest where ranges are on."""

    ranges = True

    def do_GET(self) -> None:  # noqa: N802
        begin = 0
        wanted = self.headers.get("Range") if self.ranges else None
        if wanted:
            begin = int(wanted.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{len(DATA) - 1}/{len(DATA)}")
        self.send_header("ETag", f'"{SHA256}"')
        self.send_header("Content-Length", str(len(DATA) - begin))
        self.end_headers()
        step = len(DATA) // 100
        try:
            for at in range(begin, len(DATA), step):
                self.wfile.write(DATA[at : at + step])
                time.sleep(SECONDS / 100)
        except OSError:
            pass  # the client was killed

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def _mirror(ranges: bool) -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"ranges": ranges})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
