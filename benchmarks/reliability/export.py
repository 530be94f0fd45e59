"""Exports that are killed, that meet, and that find the disk full: what is left of each.

`python -m benchmarks.reliability.export BASE` is the process that is killed: it says "ready" and
exports the smallest network into BASE for as long as it lives.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np

from benchmarks.reliability.trial import Trial, progress
from keras_attn import _staging
from keras_attn._staging import PREFIX
from keras_attn.export import export_onnx, export_saved_model, export_tflite, find_versions
from keras_attn.export.conversion import Reference

PART = "export"
IMAGE = np.linspace(0, 1, 2 * 4 * 4, dtype="float32").reshape(2, 4, 4, 1)
# Bytes that a file may have before the disk counts as full: nothing, text, a graph, weights.
LIMITS = (100, 2_000, 20_000)


# A process that has written half, by the module alone: TensorFlow takes seconds to start.
HALF = """
import runpy, sys, time
with runpy.run_path(sys.argv[1])["staging"](sys.argv[2]) as work:
    (work / "saved_model.pb").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def network(seed: int = 0) -> keras.Model:
    """The smallest that has weights of some size: 64 KiB."""
    image = keras.Input((4, 4, 1))
    x = keras.layers.Dense(1024)(keras.layers.Flatten()(image))
    return keras.Model(image, keras.layers.Dense(2)(x), name=f"net{seed}")


def trials(folder: Path, *, quick: bool, long: bool = False) -> Iterator[Trial]:
    """Tries each thing, and says what came of it.

    Args:
        folder: Where everything is written.
        quick: Seconds rather than minutes: one of each, and the killed process is one that has only
            begun to write.
        long: More kills at random moments, and more pairs.
    """
    model = network()
    kills = 1 if quick else 12 if long else 3
    yield _trial("killed", lambda i: _killed(folder / f"killed{i}", model, quick), kills)
    pairs = 4 if long and not quick else 1
    yield _trial("two at once", lambda i: _two(folder / f"two{i}", quick), pairs)
    limits = LIMITS[1:2] if quick else LIMITS
    yield _trial("full disk", lambda i: _full(folder / f"full{i}", model, limits[i]), len(limits))
    if not quick:
        yield _trial(
            "full disk, other formats",
            lambda i: _full_conversion(folder / f"formats{i}", model, LIMITS[i // 2], i % 2),
            4,
        )


def _trial(name: str, attempt: Callable[[int], str], times: int) -> Trial:
    """`attempt` gives "" where all was right, or "lost: what", or "wrong: what"."""
    start = time.monotonic()
    found = []
    for i in range(times):
        progress(PART, name, i, times)
        found.append(attempt(i))
    return Trial(
        part=PART,
        name=name,
        tried=times,
        survived=found.count(""),
        lost=sum(each.startswith("lost") for each in found),
        wrong=sum(each.startswith("wrong") for each in found),
        seconds=round(time.monotonic() - start, 1),
        note=next(filter(None, found), ""),
    )


def _killed(base: Path, model: keras.Model, quick: bool) -> str:
    command = [sys.executable, "-m", "benchmarks.reliability.export", str(base)]
    if quick:
        command = [sys.executable, "-c", HALF, _staging.__file__, str(base / "1")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            return "lost: the process ended before it was killed"
        time.sleep(0 if quick else random.uniform(0, 6))
        process.kill()
    before = find_versions(base)
    if wrong := _unfinished(base):
        return wrong
    expected = max(before, default=0) + 1
    folder = export_saved_model(model, base)
    if folder.name != str(expected):
        return f"wrong: version {folder.name} after {sorted(before)}"
    return _unfinished(base) or _left_overs(base)


def _two(base: Path, quick: bool) -> str:
    """Two exports that both begin before one has ended."""
    if quick:
        models = [network(seed) for seed in range(2)]
        barrier = threading.Barrier(2)
        errors: list[str] = []

        def run(model: keras.Model) -> None:
            barrier.wait()
            try:
                export_saved_model(model, base)
            except Exception as error:
                errors.append(f"wrong: {error!r}")

        threads = [threading.Thread(target=run, args=(model,)) for model in models]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            return errors[0]
    else:
        command = [sys.executable, "-m", "benchmarks.reliability.export", str(base), "once"]
        processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
        if any([process.wait(300) for process in processes]):
            return "lost: one of the two failed"
    if sorted(find_versions(base)) != [1, 2]:
        return f"lost: versions {sorted(find_versions(base))} of two exports"
    return _unfinished(base) or _left_overs(base)


def _full(base: Path, model: keras.Model, limit: int) -> str:
    def export() -> None:
        export_saved_model(model, base)

    return _refused(export, base.parent, base.name, limit) or (
        "lost: something is left" if base.exists() else ""
    )


def _full_conversion(folder: Path, model: keras.Model, limit: int, onnx: int) -> str:
    version = export_saved_model(model, folder / "net")
    before = sorted(os.listdir(folder))
    path = folder / ("net.onnx" if onnx else "net.tflite")

    def convert() -> None:
        export_onnx(version, path) if onnx else export_tflite(version, path)

    return _refused(convert, folder, path.name, limit) or (
        "" if sorted(os.listdir(folder)) == before else "lost: something is left"
    )


def _refused(work: Callable[[], None], folder: Path, name: str, limit: int) -> str:
    """Whether the work fails as it should where no file may be longer than `limit`."""
    try:
        with _files_of_at_most(limit):
            work()
    except OSError as error:
        wrong = name not in str(error) or "\n" in str(error)
        return f"wrong: {error}" if wrong else _left_overs(folder)
    except Exception as error:
        return f"wrong: {error!r}"
    return f"wrong: no error with files of at most {limit} bytes"


@contextlib.contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk, but for all that this process and its children write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _unfinished(base: Path) -> str:
    """Whether a server would see a version that isn't whole."""
    for version, folder in find_versions(base).items():
        try:
            [answer] = Reference(folder)(IMAGE)
        except Exception as error:
            return f"wrong: version {version} can't be run: {error!r}"
        if answer["outputs"].shape != (2, 2):
            return f"wrong: version {version} gives {answer['outputs'].shape}"
    return ""


def _left_overs(folder: Path) -> str:
    found = [path.name for path in folder.glob(f"{PREFIX}*")]
    return f"lost: {found[0]} is left" if found else ""


def main(base: str, how: str = "on and on") -> None:
    """What the other processes do."""
    print("ready", flush=True)
    export_saved_model(network(), base)
    while how != "once":
        export_saved_model(network(), base)


if __name__ == "__main__":
    main(*sys.argv[1:])
