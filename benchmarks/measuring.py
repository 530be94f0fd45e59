"""What the benchmarks share: runs by turns, peak memory, and a CSV that says where it is from."""

from __future__ import annotations

import csv
import datetime
import importlib.metadata
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# The first that a processor has counts.
VECTORS = {
    "avx512_bf16": "AVX-512 with bfloat16",
    "avx512_vnni": "AVX-512 with VNNI",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
}


def seconds_by_turns(
    runs: Mapping[Any, Callable[[], Any]], rounds: int, before: int = 0
) -> dict[Any, list[float]]:
    """Seconds of each round, run by turns in this process after one turn to warm up.

    With `before`, each is run so many times untimed before it is timed, so that the caches hold
    its weights and not another's.
    """
    seconds: dict[Any, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            for _ in range(before):
                run()
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def medians_by_turns(
    runs: Mapping[Any, Callable[[], Any]], rounds: int, before: int = 0
) -> dict[Any, float]:
    """Median milliseconds of each, of `seconds_by_turns`."""
    seconds = seconds_by_turns(runs, rounds, before)
    return {name: 1e3 * statistics.median(times) for name, times in seconds.items()}


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median of the ratios of each round, to three places."""
    ratios = [a / b for a, b in zip(numerators, denominators, strict=True)]
    return round(statistics.median(ratios), 3)


def peak_mib(run: Callable[[], Any]) -> tuple[float, float]:
    """How much one call lets this process grow, and the greatest size it has had, in MiB.

    Only the first call of a process tells: the size never falls again.
    """
    before = _status_kib("VmRSS")
    run()
    greatest = _status_kib("VmHWM")
    return (greatest - before) / 1024, greatest / 1024


def _status_kib(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def hardware() -> str:
    """The processor, what TensorFlow chooses its kernels by, and how many cores there are.

    Such as `AMD EPYC, AVX-512 with bfloat16, 2 CPU cores`.
    """
    told: dict[str, str] = {}
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        pairs = (line.partition(":") for line in lines)
        told = {key.strip(): value.strip() for key, _, value in pairs}
    name = told.get("model name") or platform.processor() or platform.machine()
    flags = told.get("flags", "").split()
    vectors = [title for flag, title in VECTORS.items() if flag in flags][:1]
    return ", ".join([name, *vectors, f"{os.cpu_count()} CPU cores"])


def commit() -> str:
    """The commit of this checkout, with a `+` where files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    changes = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True)
    return head.stdout.strip() + ("+" if changes.stdout else "")


def command() -> str:
    """How this process was called; of a path that is this machine's own, its last part."""
    spec = sys.modules["__main__"].__spec__
    program = [sys.argv[0]] if spec is None else ["-m", spec.name.removesuffix(".__main__")]
    given = [Path(each).name if Path(each).is_absolute() else each for each in sys.argv[1:]]
    return shlex.join(["python", *program, *given])


def save(
    path: str | os.PathLike[str],
    rows: Sequence[Mapping[str, Any]],
    *packages: str,
    append: bool = False,
) -> None:
    """Writes the rows, each with its command, the packages' versions, hardware and date.

    The columns are those of all rows. With `append`, the rows go behind those of the file, whose
    columns must be the same.
    """
    record = {
        "command": command(),
        "versions": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages),
        "hardware": hardware(),
        "date": str(datetime.date.today()),
    }
    columns = list(dict.fromkeys(key for row in rows for key in row))
    columns += record
    append = append and Path(path).exists()
    if append:
        with open(path, newline="", encoding="utf-8") as file:
            there = next(csv.reader(file))
        if there != columns:
            raise ValueError(f"{path} has the columns {there}; these rows have {columns}")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a" if append else "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if not append:
            writer.writeheader()
        writer.writerows({**row, **record} for row in rows)
