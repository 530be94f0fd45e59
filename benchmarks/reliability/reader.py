"""A process that reads files of weights, and what each took of time and memory.

`python -m benchmarks.reliability.reader` is the process: it reads paths from its standard input
and answers each with a line of JSON. Its highest use of memory is set back before each file, which
Linux can do.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MOST_SECONDS = 5.0
MOST_MIB = 200
LARGE = 1 << 28  # bytes: of such files a network gets what it needs, and nobody all tensors
KILLED_SECONDS = 3 * MOST_SECONDS  # a process that takes longer, or more, is ended
KILLED_MIB = 5 * MOST_MIB


class Reader:
    """A process that reads files, started anew where one ends it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def read(self, path: Path) -> dict[str, Any]:
        """What came of reading a file: `error`, `message`, `seconds`, `mib` and `changed`.

        `error` is the name of an exception, `""` where there was none, or `"killed"`.
        """
        process = self.process = self.process or self._start()
        before, start = _resident_mib(process.pid), time.monotonic()
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        while not select.select([process.stdout], [], [], 0.02)[0]:
            seconds, mib = time.monotonic() - start, _resident_mib(process.pid) - before
            if seconds > KILLED_SECONDS or mib > KILLED_MIB:
                self.close()
                return _answer("killed", f"after {seconds:.1f} s, {mib:.0f} MiB", seconds, mib)
        line = process.stdout.readline()
        if line:
            return json.loads(line)
        code = process.wait()
        self.close()
        return _answer("killed", f"it ended with {code}", time.monotonic() - start, 0)

    def close(self) -> None:
        """Ends the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.reliability.reader"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        process.stdout.readline()  # it is ready
        return process


def _answer(error: str, message: str, seconds: float, mib: float) -> dict[str, Any]:
    return {
        "error": error,
        "message": message,
        "seconds": seconds,
        "mib": mib,
        "changed": False,
    }


def _resident_mib(pid: int | str, field: str = "VmRSS:") -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(x.split()[1]) / 1024 for x in status.splitlines() if x.startswith(field)), 0)


def serve() -> None:
    """Reads the files whose paths come by standard input."""
    from keras_attn.applications import CIFARResNet
    from keras_attn.training import load_run
    from keras_attn.weights import load_weights, read_tensors

    model = CIFARResNet(8)

    def read(path: Path) -> None:
        if path.name == "model.keras":
            load_run(path.parent)
            return
        if not path.name.endswith((".weights.h5", ".keras")):
            with contextlib.suppress(ValueError):
                if path.stat().st_size < LARGE:
                    read_tensors(path)
        try:
            load_weights(model, path)
        except ValueError:
            CIFARResNet(8, weights=path)
            raise

    print("ready", flush=True)
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        values = model.get_weights()
        Path("/proc/self/clear_refs").write_text("5")
        before, start = _resident_mib("self"), time.monotonic()
        error = message = ""
        try:
            read(path)
        except BaseException as raised:
            error, message = type(raised).__name__, str(raised)
        answer = _answer(error, message[:2000], time.monotonic() - start, 0)
        answer["mib"] = _resident_mib("self", "VmHWM:") - before
        after = model.get_weights()
        answer["changed"] = any((a != b).any() for a, b in zip(values, after, strict=True))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
